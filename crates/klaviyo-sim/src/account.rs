//! Everything one account owns, behind one lock that is held for microseconds.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    clock::{Clock, Millis, millis},
    config::{AccountConfig, Config, FlowConfig},
    import::jobs::Jobs,
    lists::{List, Lists},
    opaque,
    profiles::Profiles,
    ratelimit::Limiter,
};

pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) flows: Vec<FlowConfig>,
    pub(crate) sms: bool,
    limiter: Mutex<Limiter>,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) lists: Lists,
    pub(crate) profiles: Profiles,
    pub(crate) jobs: Jobs,
    pub(crate) rng: StdRng,
}

impl Account {
    pub(crate) fn new(index: u32, account: &AccountConfig, config: &Config, now: Millis) -> Self {
        let mut lists = Lists::default();
        for list in &account.lists {
            let double = "double_opt_in".to_owned();
            lists.insert(List::new(list.id.clone(), list.name.clone(), double, now));
        }
        let state = State {
            lists,
            profiles: Profiles::new(index, &config.unknowns, config.forget_payloads),
            jobs: Jobs::new(config.completion, millis(config.job_lifetime)),
            rng: StdRng::seed_from_u64(config.seed ^ u64::from(index)),
        };
        Self {
            id: account.id.clone(),
            name: account.name.clone(),
            flows: account.flows.clone(),
            sms: account.sms,
            limiter: Mutex::new(Limiter::new(
                config.window_phase,
                config.unknowns.rate_limit_headers,
            )),
            state: Mutex::new(state),
        }
    }

    /// A handler that panicked left nothing half done that a test could not see.
    pub(crate) fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as it is now: jobs whose time has come are complete.
    pub(crate) fn state(&self, clock: &Clock) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settle(clock.now());
        state
    }
}

impl State {
    fn settle(&mut self, now: Millis) {
        let Self { lists, jobs, .. } = self;
        for joined in jobs.settle(now) {
            for list in &joined.lists {
                // A list that was deleted meanwhile gets nobody.
                let Some(list) = lists.get_mut(list) else { continue };
                for number in &jobs.get(joined.job).profiles {
                    list.members_mut().add(*number, now);
                }
            }
        }
    }

    /// Like Klaviyo's: opaque, about 58 letters, some of which a URL has to escape elsewhere.
    pub(crate) fn new_job_id(&mut self) -> String {
        let mut bytes = [0; 43];
        self.rng.fill(&mut bytes);
        opaque::encode(&bytes)
    }

    /// Six letters and digits that no list has.
    pub(crate) fn new_list_id(&mut self) -> String {
        loop {
            let id: String =
                (0..6).map(|_| char::from(self.rng.sample(rand::distr::Alphanumeric))).collect();
            if self.lists.get(&id).is_none() {
                return id;
            }
        }
    }
}
