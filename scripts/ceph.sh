#!/bin/bash
# Usage: scripts/ceph.sh
# Makes an image with Ceph's object gateway, S3 and IAM, once for all clones on this machine, and prints its name. Run with
# `docker run`, it serves on port 7480 and prints the owner's key as JSON, in one line, once it can be used.
set -euo pipefail

packages() {
    mmdebstrap --quiet --variant=minbase --include=ca-certificates,ceph-mon,ceph-osd,radosgw,python3 \
        --aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt=force-unsafe-io \
        --customize-hook='rm -f "$1"/usr/sbin/policy-rc.d' sid -
}

# One monitor and one store in memory: what is in it is gone with the container.
serve() {
    fsid=6f1a2b8e-6a0e-4d3c-9f0b-0d6c7a4f5e21 osd=6f1a2b8e-6a0e-4d3c-9f0b-0d6c7a4f5e22
    cat >/etc/ceph/ceph.conf <<CONF
[global]
fsid = $fsid
mon_host = v2:127.0.0.1:3300
public_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_data_avail_warn = 2
mon_data_avail_crit = 1
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 2147483648
[client]
# Without keys there is no secure mode, which the gateway wants by default.
ms_mon_client_mode = crc
rgw_rados_pool_pg_num_min = 1
rgw_frontends = beast port=7480
CONF
    mkdir -p /var/lib/ceph/mon/ceph-a /var/lib/ceph/osd/ceph-0 /run/ceph
    monmaptool --create --fsid $fsid --add a 127.0.0.1:3300 /tmp/monmap
    ceph-mon --mkfs -i a --monmap /tmp/monmap
    ceph-mon -i a
    ceph osd new $osd
    ceph-osd -i 0 --mkfs --osd-uuid $osd
    ceph-osd -i 0
    until ceph osd stat | grep -q '1 up'; do sleep 0.2; done
    radosgw-admin realm create --rgw-realm tests --default
    radosgw-admin zonegroup create --rgw-zonegroup default --api-name us-east-1 --master --default
    radosgw-admin zone create --rgw-zonegroup default --rgw-zone default --master --default
    radosgw-admin period update --commit
    radosgw -n client.rgw
    radosgw-admin account create --account-id RGW22222222222222222 --account-name tests
    radosgw-admin user create --uid owner --display-name owner --account-id RGW22222222222222222 --account-root \
        --gen-access-key >/tmp/owner.json
    until (: </dev/tcp/127.0.0.1/7480) 2>/dev/null; do sleep 0.2; done
}

recipe="$(declare -f packages serve) $(uname -m)"
image=provision-tests/ceph:$(printf %s "$recipe" | sha256sum | cut -c1-12)
exec 9>"/tmp/provision-tests-ceph.$(id -u).lock"
flock 9
if ! docker image inspect "$image" >/dev/null 2>&1; then
    echo "making $image" >&2
    script="$(declare -f serve); set -eu; serve >/tmp/log 2>&1 || { cat /tmp/log >&2; exit 1; }; tr -d '\\n' </tmp/owner.json; echo; exec sleep infinity"
    packages 9>&- | docker import --change "ENTRYPOINT [\"/bin/bash\", \"-c\", $(printf %s "$script" | jq -Rs .)]" - "$image" >/dev/null
fi
echo "$image"
