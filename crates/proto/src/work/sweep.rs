//! What is in staging, and what of it can go.

use segue_model::work::{Kept, Spent};

use crate::{
    Invalid,
    invalid::{duration, need, parsed, wait},
    v1,
};

impl From<&Kept> for v1::KeptObjects {
    fn from(Kept { run, batches, reports, age }: &Kept) -> Self {
        Self {
            run_id: run.to_string(),
            batches: batches.iter().map(ToString::to_string).collect(),
            reports: reports.clone(),
            age: Some(duration(*age)),
        }
    }
}

impl TryFrom<v1::KeptObjects> for Kept {
    type Error = Invalid;

    fn try_from(kept: v1::KeptObjects) -> Result<Self, Invalid> {
        let v1::KeptObjects { run_id, batches, reports, age } = kept;
        let batches = batches.iter().map(|hash| parsed("batches", hash)).collect::<Result<_, _>>();
        Ok(Self {
            run: parsed("run_id", &run_id)?,
            batches: batches?,
            reports,
            age: wait("age", need("age", age)?)?,
        })
    }
}

impl From<Spent> for v1::SpentObjects {
    fn from(Spent { run, batches, reports }: Spent) -> Self {
        let batches = batches.iter().map(ToString::to_string).collect();
        Self { run_id: run.to_string(), batches, reports }
    }
}

impl TryFrom<v1::SpentObjects> for Spent {
    type Error = Invalid;

    fn try_from(spent: v1::SpentObjects) -> Result<Self, Invalid> {
        let v1::SpentObjects { run_id, batches, reports } = spent;
        let batches = batches.iter().map(|hash| parsed("batches", hash)).collect::<Result<_, _>>();
        Ok(Self { run: parsed("run_id", &run_id)?, batches: batches?, reports })
    }
}
