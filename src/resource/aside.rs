//! What a resource lets go of in favour of another thing of its kind, and what stays of it: [`At::succession`].

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::resource::context::At;
use crate::resource::owned::Owned;

/// Stands between the name of a resource and the number of a thing that it no longer uses.
const ASIDE: char = '~';

impl Owned {
    /// Whether a resource has let go of it in favour of another thing.
    pub fn is_aside(&self) -> bool {
        self.id.contains(ASIDE)
    }
}

impl At {
    /// What this resource has let go of, by the key under which it is kept.
    pub fn aside<T: DeserializeOwned>(&self) -> Result<Vec<(String, T)>> {
        let key = self.key();
        let own = key.split_once('/').map_or(key.as_str(), |(_, name)| name);
        let names = self.store().names(self.kind)?;
        let mine = names.iter().filter(|name| name.rsplit_once(ASIDE).is_some_and(|(name, _)| name == own));
        mine.filter_map(|name| {
            let key = format!("{}/{name}", self.kind);
            self.store().json(&key).transpose().map(|record| record.map(|record| (key, record)))
        })
        .collect()
    }

    /// What has to be kept or forgotten, key by key, before this resource turns to the thing that `is_same` knows: the one that
    /// it has now must not be forgotten, and one that it had let go of is its own again.
    pub fn succession<T: Serialize + DeserializeOwned>(
        &self,
        is_same: impl Fn(&T) -> bool,
    ) -> Result<Vec<(String, Option<String>)>> {
        let aside = self.aside::<T>()?;
        let again = aside.iter().filter(|(_, record)| is_same(record)).map(|(key, _)| (key.clone(), None));
        let mut steps: Vec<(String, Option<String>)> = again.collect();
        if let Some(former) = self.kept_json::<T>()?.filter(|record| !is_same(record)) {
            let free = |number: &usize| {
                let key = format!("{}{ASIDE}{number}", self.key());
                aside.iter().all(|(taken, _)| *taken != key)
            };
            let number = (1..=aside.len() + 1).find(free).expect("there are more numbers than things");
            steps.push((format!("{}{ASIDE}{number}", self.key()), Some(serde_json::json!(former).to_string())));
        }
        Ok(steps)
    }
}
