//! What a registry has: its repositories, their tags, and what refers to a manifest.

use serde_json::Value as Json;

use super::auth::Scope;
use super::call::Call;
use super::manifest::{self, Descriptor, media};
use super::{Digest, Registry, auth};
use crate::error::{Error, Result};

/// How many entries a page has; the stock registry gives no more than 1000 at once.
const PAGE: usize = 1000;
/// How many pages are read, and how large one may be.
const PAGES: usize = 10_000;
const LARGEST: usize = 16 << 20;

impl Registry {
    /// The names of all repositories. Emptied ones may be among them.
    pub async fn catalog(&self) -> Result<Vec<String>> {
        let first = self.url(&format!("_catalog?n={PAGE}"));
        let pages = self.pages(first, &auth::catalog(), None, "list the repositories").await?;
        Ok(names(&pages.unwrap_or_default(), "repositories"))
    }

    /// The tags of a repository, in the registry's order; none for a repository that it does not know.
    pub async fn tags(&self, repository: &str) -> Result<Option<Vec<String>>> {
        let first = self.url(&format!("{repository}/tags/list?n={PAGE}"));
        let task = format!("list the tags of `{repository}`");
        let pages = self.pages(first, &auth::pull(repository), None, &task).await?;
        Ok(pages.map(|pages| names(&pages, "tags")))
    }

    /// What refers to a manifest, such as its signatures: as the registry lists it, or by the tag that clients keep where the
    /// registry cannot (OCI distribution specification 1.1, "Referrers Tag Schema").
    pub async fn referrers(&self, repository: &str, digest: &Digest) -> Result<Vec<Descriptor>> {
        if self.lists_referrers(repository, digest).await? {
            let pages = self.referrers_pages(repository, digest).await?.unwrap_or_default();
            let all = pages.iter().flat_map(|page| page["manifests"].as_array().into_iter().flatten());
            return all.map(manifest::read).collect();
        }
        match self.manifest(repository, &fallback_tag(digest)).await? {
            Some(index) if index.is_index() => index.manifests(),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether the registry itself lists what refers to a manifest; it is asked once.
    pub async fn lists_referrers(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let ask = async || Ok(self.referrers_pages(repository, digest).await?.is_some());
        self.0.lists.get_or_try_init(ask).await.copied()
    }

    async fn referrers_pages(&self, repository: &str, digest: &Digest) -> Result<Option<Vec<Json>>> {
        let task = format!("list what refers to `{repository}@{digest}`");
        let first = self.url(&format!("{repository}/referrers/{digest}"));
        self.pages(first, &auth::pull(repository), Some(media::INDEX), &task).await
    }

    /// All pages of a list; none if there is no such thing.
    async fn pages(&self, first: String, scope: &Scope, accept: Option<&str>, task: &str) -> Result<Option<Vec<Json>>> {
        let (mut pages, mut next) = (Vec::new(), Some(first));
        while let Some(url) = next.take() {
            if pages.len() == PAGES {
                return Err(Error::new(format!("cannot {task}: the list has more than {PAGES} pages")));
            }
            let mut call = Call::new("GET", url.clone(), scope.clone());
            if let Some(accept) = accept {
                call = call.header("Accept", accept);
            }
            let held = self.call(&call, task).await?;
            // A registry of before 1.1 answers with whatever page it has for what is not there.
            if held.reply.status() == 404 && (pages.is_empty()) {
                return Ok(None);
            }
            let reply = self.expect(held.reply, &[200], task).await?;
            let following = reply.headers("link").iter().find_map(|link| next_page(link).map(str::to_owned));
            let content = reply.content(LARGEST).await.map_err(|lost| self.unanswered(&lost, task))?;
            let content = content.ok_or_else(|| Error::new(format!("cannot {task}: a page is larger than 16 MiB")))?;
            let page = serde_json::from_slice(&content).map_err(|_| {
                Error::new(format!("cannot {task}: what the registry `{}` answers is no list", self.name()))
                    .hint("what answers there may be no registry: check its address")
            })?;
            pages.push(page);
            if let Some(following) = following {
                let located = self.located(Some(&following), task)?;
                if located == url {
                    return Err(Error::new(format!("cannot {task}: a page of the list leads to itself")));
                }
                next = Some(located);
            }
        }
        Ok(Some(pages))
    }
}

/// The tag under which referrers are kept where a registry has no list of them.
pub(crate) fn fallback_tag(digest: &Digest) -> String {
    digest.as_str().replacen(':', "-", 1)
}

fn names(pages: &[Json], field: &str) -> Vec<String> {
    let all = pages.iter().flat_map(|page| page[field].as_array().into_iter().flatten());
    all.filter_map(Json::as_str).map(str::to_owned).collect()
}

/// The next page that a `Link` names (RFC 8288).
fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let relation = |text: &str| matches!(text.trim(), "rel=\"next\"" | "rel=next");
        parameters.split(';').any(relation).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_a_link() {
        let link = r#"</v2/_catalog?last=b&n=2>; rel="next""#;
        assert_eq!(next_page(link), Some("/v2/_catalog?last=b&n=2"));
        assert_eq!(next_page("<x>; rel=prev, <y>; rel=next"), Some("y"));
        assert_eq!((next_page(""), next_page("<x>; rel=\"first\"")), (None, None));
    }
}
