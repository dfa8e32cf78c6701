//! Import jobs and their lives.

use std::collections::HashMap;

use serde_json::{Value, json, value::RawValue};

use crate::{
    clock::{Millis, rfc3339},
    config::Completion,
    profiles::{Number, render::sparse},
    query::Query,
    unknowns::ImportErrorText,
};

/// A job by the order of acceptance.
pub(crate) type Sequence = usize;

/// How a job will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Complete,
    /// It stays `processing` for ever.
    Stuck,
    /// It ends `cancelled`, with nothing imported.
    Cancelled,
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) created: Millis,
    pub(crate) lists: Vec<String>,
    pub(crate) total: usize,
    /// Bytes of the body, decompressed.
    pub(crate) bytes: usize,
    pub(crate) fate: Fate,
    pub(crate) completed: usize,
    pub(crate) profiles: Vec<Number>,
    pub(crate) errors: Vec<ImportError>,
    started: Option<Millis>,
    processed: Option<Millis>,
    finished: Option<Millis>,
    /// Some poll saw it unfinished.
    seen: bool,
}

/// Why one profile was not imported.
#[derive(Debug)]
pub(crate) struct ImportError {
    pub(crate) id: String,
    pub(crate) text: ImportErrorText,
    /// The attributes as sent, with the id if there was one.
    pub(crate) original_payload: Option<Box<RawValue>>,
}

impl Job {
    pub(crate) fn new(
        id: String,
        created: Millis,
        lists: Vec<String>,
        total: usize,
        bytes: usize,
        fate: Fate,
    ) -> Self {
        Self {
            id,
            created,
            lists,
            total,
            bytes,
            fate,
            completed: 0,
            profiles: Vec::new(),
            errors: Vec::new(),
            started: None,
            processed: None,
            finished: None,
            seen: false,
        }
    }

    pub(crate) fn status(&self) -> &'static str {
        match (self.finished, self.started) {
            (Some(_), _) if self.fate == Fate::Cancelled => "cancelled",
            (Some(_), _) => "complete",
            (None, Some(_)) => "processing",
            (None, None) => "queued",
        }
    }

    pub(crate) fn start(&mut self, now: Millis) {
        self.started.get_or_insert(now);
    }

    /// Everything is imported; from now on the job may say that it is complete.
    pub(crate) fn process(&mut self, now: Millis) {
        self.processed = Some(now);
    }

    /// `completed_count` does not include those that failed: Klaviyo's example of 10 = 9 + 1.
    pub(crate) fn render(&self, base: &str, query: &Query, expires: Millis) -> Value {
        let this = format!("{base}/api/profile-bulk-import-jobs/{}", self.id);
        let related = |what: &str| {
            json!({"links": {"self": format!("{this}/relationships/{what}"),
                             "related": format!("{this}/{what}")}})
        };
        let attributes = json!({
            "status": self.status(),
            "created_at": rfc3339(self.created),
            "total_count": self.total,
            "completed_count": self.completed,
            "failed_count": self.errors.len(),
            "completed_at": self.finished.map(rfc3339),
            "expires_at": rfc3339(expires),
            "started_at": self.started.map(rfc3339),
        });
        let Value::Object(attributes) = attributes else { return attributes };
        json!({
            "type": "profile-bulk-import-job",
            "id": self.id,
            "attributes": sparse(attributes, query.fields("profile-bulk-import-job").as_deref()),
            "relationships": {
                "lists": related("lists"),
                "profiles": related("profiles"),
                "import-errors": {"links": {"related": format!("{this}/import-errors")}},
            },
            "links": {"self": this},
        })
    }
}

impl ImportError {
    pub(crate) fn render(&self, query: &Query) -> Value {
        let ImportErrorText { code, title, detail } = &self.text;
        let attributes = json!({
            "code": code,
            "title": title,
            "detail": detail,
            "source": {"pointer": "/data"},
            "original_payload": self.original_payload,
        });
        let Value::Object(attributes) = attributes else { return attributes };
        json!({
            "type": "import-error",
            "id": self.id,
            "attributes": sparse(attributes, query.fields("import-error").as_deref()),
        })
    }
}

/// All jobs of an account.
#[derive(Debug)]
pub(crate) struct Jobs {
    all: Vec<Job>,
    by_id: HashMap<String, Sequence>,
    unfinished: Vec<Sequence>,
    completion: Completion,
    lifetime: Millis,
}

/// A job that became complete: these profiles join these lists.
pub(crate) struct Joined {
    pub(crate) lists: Vec<String>,
    pub(crate) job: Sequence,
}

impl Jobs {
    pub(crate) fn new(completion: Completion, lifetime: Millis) -> Self {
        Self {
            all: Vec::new(),
            by_id: HashMap::new(),
            unfinished: Vec::new(),
            completion,
            lifetime,
        }
    }

    pub(crate) fn push(&mut self, job: Job) -> Sequence {
        let sequence = self.all.len();
        self.by_id.insert(job.id.clone(), sequence);
        self.unfinished.push(sequence);
        self.all.push(job);
        sequence
    }

    /// Every job ever accepted, expired ones too.
    pub(crate) fn all(&self) -> &[Job] {
        &self.all
    }

    pub(crate) fn expires(&self, job: &Job) -> Millis {
        job.created + self.lifetime
    }

    /// Jobs that can still be read, with their order.
    pub(crate) fn readable(
        &self,
        now: Millis,
    ) -> impl DoubleEndedIterator<Item = (Sequence, &Job)> {
        self.all.iter().enumerate().filter(move |(_, job)| now < self.expires(job))
    }

    pub(crate) fn find(&self, id: &str, now: Millis) -> Option<Sequence> {
        let sequence = *self.by_id.get(id)?;
        (now < self.expires(&self.all[sequence])).then_some(sequence)
    }

    pub(crate) fn get(&self, sequence: Sequence) -> &Job {
        &self.all[sequence]
    }

    pub(crate) fn get_mut(&mut self, sequence: Sequence) -> &mut Job {
        &mut self.all[sequence]
    }

    /// A poll showed this job to somebody.
    pub(crate) fn show(&mut self, sequence: Sequence) {
        let job = &mut self.all[sequence];
        job.seen |= job.finished.is_none();
    }

    /// Ends the jobs whose time has come. Membership begins here and not before.
    pub(crate) fn settle(&mut self, now: Millis) -> Vec<Joined> {
        let Self { all, unfinished, completion, .. } = self;
        let mut joined = Vec::new();
        unfinished.retain(|sequence| {
            let job = &mut all[*sequence];
            let Some(processed) = job.processed else { return true };
            let due = match completion {
                Completion::Immediate => true,
                Completion::AfterPoll { unwatched } => {
                    job.seen || now >= processed + crate::clock::millis(*unwatched)
                }
            };
            if due {
                job.finished = Some(now);
                joined.push(Joined { lists: job.lists.clone(), job: *sequence });
            }
            !due
        });
        joined
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Fate, Job, Jobs};
    use crate::Completion;

    fn jobs(completion: Completion) -> Jobs {
        let mut jobs = Jobs::new(completion, 1_000);
        jobs.push(Job::new("a".to_owned(), 0, vec!["L".to_owned()], 1, 1, Fate::Complete));
        jobs
    }

    const WATCHED: Completion = Completion::AfterPoll { unwatched: Duration::from_millis(500) };

    #[test]
    fn processed_job_completes_only_after_a_poll_saw_it_unfinished() {
        let mut jobs = jobs(WATCHED);
        jobs.get_mut(0).start(1);
        jobs.show(0);
        assert!(jobs.settle(2).is_empty(), "it is not processed yet");
        jobs.get_mut(0).process(3);
        assert_eq!(jobs.settle(3).len(), 1);
        assert_eq!(jobs.get(0).status(), "complete");
        assert!(jobs.settle(4).is_empty(), "it completes once");
    }

    #[test]
    fn job_that_nobody_polls_completes_by_itself() {
        let mut jobs = jobs(WATCHED);
        jobs.get_mut(0).process(100);
        assert!(jobs.settle(599).is_empty());
        assert_eq!(jobs.settle(600).len(), 1);
    }

    #[test]
    fn expired_job_cannot_be_read() {
        let jobs = jobs(WATCHED);
        assert_eq!(jobs.find("a", 999), Some(0));
        assert_eq!(jobs.find("a", 1_000), None);
        assert_eq!(jobs.readable(1_000).count(), 0);
    }
}
