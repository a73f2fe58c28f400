//! Numbers of users on an engine whose containers have others than its host (`userns-remap`): [`Remap`].
//!
//! Such an engine writes the host's numbers into the archives that it gives out, and takes the container's in those that it is
//! given: what is read there and put back would belong to nobody.

use tar::Header;

/// Bytes of a block of an archive (POSIX.1, ustar).
const BLOCK: usize = 512;
/// How many users and groups a container has: as many as `dockerd` maps at once.
const COUNT: u64 = 1 << 16;

/// What the host's numbers of users and groups are above the containers'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remap {
    user: u64,
    group: u64,
}

impl Remap {
    /// Reads it from the folder of an engine's data, which then ends in `/165536.165536`.
    pub fn of(root: &str) -> Option<Self> {
        let (user, group) = root.trim_end_matches('/').rsplit('/').next()?.split_once('.')?;
        let remap = Self { user: user.parse().ok()?, group: group.parse().ok()? };
        (remap.user > 0 || remap.group > 0).then_some(remap)
    }

    /// An archive of the engine with the containers' own numbers.
    pub fn archive(self, bytes: &[u8]) -> Vec<u8> {
        Stream::new(Some(self)).turn(bytes)
    }

    fn entry(self, header: &mut Header) {
        let inner = |id: std::io::Result<u64>, start: u64| id.ok()?.checked_sub(start).filter(|id| *id < COUNT);
        if let Some(user) = inner(header.uid(), self.user) {
            header.set_uid(user);
        }
        if let Some(group) = inner(header.gid(), self.group) {
            header.set_gid(group);
        }
        header.set_cksum();
    }
}

/// An archive that comes in parts.
pub(super) struct Stream {
    remap: Option<Remap>,
    /// The part of a header that is there.
    header: Vec<u8>,
    /// Bytes until the next header.
    content: u64,
}

impl Stream {
    /// Without a remap all stays as it is.
    pub fn new(remap: Option<Remap>) -> Self {
        Self { remap, header: Vec::new(), content: 0 }
    }

    /// The next part with the containers' own numbers. What is part of a header comes with the rest of it.
    pub fn turn(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let Some(remap) = self.remap else { return bytes.to_vec() };
        let mut turned = Vec::with_capacity(bytes.len() + BLOCK);
        while !bytes.is_empty() {
            if self.content > 0 {
                let (content, rest) =
                    bytes.split_at(bytes.len().min(usize::try_from(self.content).unwrap_or(usize::MAX)));
                self.content -= content.len() as u64;
                turned.extend_from_slice(content);
                bytes = rest;
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(BLOCK - self.header.len()));
            self.header.extend_from_slice(part);
            bytes = rest;
            if self.header.len() < BLOCK {
                break;
            }
            let mut block = std::mem::take(&mut self.header);
            // Two empty blocks end an archive.
            if block.iter().any(|byte| *byte != 0) {
                let header = Header::from_byte_slice(&block);
                self.content = header.entry_size().unwrap_or_default().next_multiple_of(BLOCK as u64);
                let mut header = header.clone();
                remap.entry(&mut header);
                block = header.as_bytes().to_vec();
            }
            turned.extend_from_slice(&block);
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_folder_of_the_data_tells_the_numbers() {
        assert_eq!(Remap::of("/var/lib/docker/165536.231072"), Some(Remap { user: 165_536, group: 231_072 }));
        for root in ["/var/lib/docker", "", "/srv/docker-1.2", "/x/0.0", "/x/1."] {
            assert_eq!(Remap::of(root), None, "{root}");
        }
    }

    #[test]
    fn an_archive_has_the_numbers_of_the_container_however_it_comes() {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, user, size) in [("a", 165_536, 0), ("b", 231_068, 700), ("c", 7, 512), ("d", 300_000, 1)] {
            let mut header = Header::new_ustar();
            header.set_size(size);
            header.set_uid(user);
            header.set_gid(user);
            archive.append_pax_extensions([("mtime", b"1.5".as_slice())]).unwrap();
            archive.append_data(&mut header, path, std::io::repeat(b'x').take(size)).unwrap();
        }
        let bytes = archive.into_inner().unwrap();
        let remap = Remap { user: 165_536, group: 165_536 };
        for size in [1, 100, 512, 1000, bytes.len()] {
            let mut stream = Stream::new(Some(remap));
            let turned: Vec<u8> = bytes.chunks(size).flat_map(|part| stream.turn(part)).collect();
            assert_eq!(turned.len(), bytes.len());
            let mut found = Vec::new();
            for entry in tar::Archive::new(turned.as_slice()).entries().unwrap() {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                found.push((entry.header().uid().unwrap(), entry.header().gid().unwrap(), content.len()));
            }
            assert_eq!(found, [(0, 0, 0), (65532, 65532, 700), (7, 7, 512), (300_000, 300_000, 1)]);
        }
        assert_eq!(Stream::new(None).turn(&bytes), bytes);
    }
}
