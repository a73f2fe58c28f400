//! The options that several verbs share, as far as the verb that was typed has them: [`Shared`].

use std::time::Duration;

use clap::ArgMatches;

use super::matches::{flag_is_set, style, word, words};
use super::{time, upkeep};
use crate::error::Result;
use crate::event::Events;
use crate::report::Style;
use crate::resource::run::{Anew, Images, Options, Wanted};
use crate::secret::Secret;
use crate::session::Session;
use crate::world::stop::Stopper;
use crate::world::typed;

pub(super) struct Shared {
    pub style: Style,
    options: Options,
    proxy: Option<String>,
    wait: Option<String>,
    yes: bool,
}

impl Shared {
    pub fn read(matches: &ArgMatches) -> Self {
        let own = |name: &str| word(matches, name).map(str::to_owned);
        let images = match word(matches, "images") {
            Some("pull") => Images::Pull,
            Some("build") => Images::Build,
            _ => Images::Auto,
        };
        let anew = match word(matches, "what") {
            Some("keys") => Some(Anew::Keys),
            Some("authority") => Some(Anew::Authority),
            Some("certificates") => Some(Anew::Certificates),
            _ => flag_is_set(matches, "renew").then_some(Anew::Certificates),
        };
        let options = Options {
            images,
            anew,
            delete_data: words(matches, "delete-data"),
            engine: if flag_is_set(matches, "engine-moved") { Wanted::Reached } else { Wanted::Known },
            proxy: None,
            upkeep: upkeep::asked(matches),
            verbose: flag_is_set(matches, "verbose"),
        };
        Self {
            style: style(matches),
            options,
            proxy: own("proxy"),
            wait: own("wait"),
            yes: flag_is_set(matches, "yes"),
        }
    }

    /// What a verb works with.
    ///
    /// # Errors
    /// A time to wait that is none, or a proxy in a file that cannot be read.
    pub fn session(self, events: Events, stopper: Stopper) -> Result<Session> {
        let wait = self.wait.as_deref().map_or(Ok(0), time::wait)?;
        // Read here, before anything is locked.
        let proxy = self.proxy.as_deref().map(typed::secret_argument).transpose()?.map(Secret::new);
        let upkeep = upkeep::settled(self.options.upkeep)?;
        let options = Options { proxy, upkeep, ..self.options };
        Ok(Session { events, options, yes: self.yes, wait: Duration::from_secs(wait), stopper })
    }
}
