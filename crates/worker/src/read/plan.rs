use segue_model::{BatchNo, ContentHash, RunId};
use segue_profile::{MapOptions, Mapping};
use segue_source::Manifest;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// What the reader of a run has to do, as the run keeps it: JSON with a `kind`.
///
/// The control-plane writes what is wanted or what is to be sent again; the first reading of what is
/// wanted freezes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Plan {
    Frozen(ReadPlan),
    Wanted(WantedPlan),
    Retry(RetryPlan),
}

/// What a run freezes of its segment at its start. The same plan on the same source gives the same
/// batches, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadPlan {
    /// Version of the rules that make batches of rows. A reader refuses a plan of other rules.
    pub rules_version: u32,
    /// Files and globs, as they were given.
    pub sources: Vec<String>,
    /// What they were when the run was planned.
    pub manifest: Manifest,
    pub mapping: Mapping,
    /// Only the first rows, for a trial.
    pub limit: Option<u64>,
    /// Profiles in a batch, if they are fewer than Klaviyo takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_profiles: Option<usize>,
}

/// What somebody wants to be exported. Its files were not looked at yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedPlan {
    /// Files and globs below the source folder of the workers.
    pub sources: Vec<String>,
    #[serde(default)]
    pub options: MapOptions,
    /// Without it a list that starts live flows fails the run.
    #[serde(default)]
    pub allow_live_flows: bool,
    /// Only the first rows, for a trial.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// Batches of an ended run that are to be sent as they were staged. The new run numbers them from 0, in
/// this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPlan {
    /// The run that left them.
    pub of: RunId,
    pub batches: Vec<RetryBatch>,
    /// That of the earlier run, by which reports name the objects that rejected rows came from. The reader
    /// does not need it.
    #[serde(default)]
    pub manifest: Option<Manifest>,
}

/// A batch of the earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryBatch {
    /// Its number in that run.
    pub batch: BatchNo,
    /// As the store writes it.
    #[serde(with = "hash")]
    pub hash: ContentHash,
    pub profiles: u64,
    /// Of the body.
    pub bytes: u64,
}

/// A plan that this version cannot follow. The text of the plan is not repeated: it names columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the plan was made by another version of segue")]
pub struct UnknownPlan;

impl ReadPlan {
    /// Goes up whenever the same rows could give other bytes.
    pub const RULES_VERSION: u32 = 2;
}

impl Plan {
    /// Reads what [`Plan::to_json`] or the control-plane wrote. A plan without a `kind` is frozen: the first
    /// version knew no other.
    pub fn parse(json: &str) -> Result<Self, UnknownPlan> {
        match serde_json::from_str(json).map_err(|_| UnknownPlan)? {
            Self::Frozen(plan) if plan.rules_version != ReadPlan::RULES_VERSION => Err(UnknownPlan),
            plan => Ok(plan),
        }
    }

    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = serde_json::Map::deserialize(deserializer)?;
        let kind = fields.remove("kind");
        let plan = serde_json::Value::Object(fields);
        let made = match kind.as_ref().map(serde_json::Value::as_str) {
            None | Some(Some("frozen")) => serde_json::from_value(plan).map(Self::Frozen),
            Some(Some("wanted")) => serde_json::from_value(plan).map(Self::Wanted),
            Some(Some("retry")) => serde_json::from_value(plan).map(Self::Retry),
            Some(_) => return Err(D::Error::custom("unknown kind of plan")),
        };
        made.map_err(D::Error::custom)
    }
}

mod hash {
    use segue_model::ContentHash;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(hash: &ContentHash, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(hash)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ContentHash, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom("not the hash of a batch"))
    }
}

#[cfg(test)]
mod tests {
    use segue_model::{BatchNo, ContentHash, Id};
    use segue_profile::MapOptions;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::{Plan, ReadPlan, RetryBatch, RetryPlan, UnknownPlan, WantedPlan};

    fn frozen(rules_version: u32) -> Value {
        json!({
            "rules_version": rules_version, "sources": ["a.csv"], "manifest": {"objects": []},
            "mapping": {"entries": []}, "limit": null,
        })
    }

    fn parse(json: &Value) -> Result<Plan, UnknownPlan> {
        Plan::parse(&json.to_string())
    }

    #[test]
    fn plan_without_a_kind_is_frozen_as_the_first_version_wrote_it() {
        let old = frozen(ReadPlan::RULES_VERSION);
        let plan = parse(&old).unwrap();
        assert!(matches!(&plan, Plan::Frozen(plan) if plan.sources == ["a.csv"]));
        let mut new: Value = serde_json::from_str(&plan.to_json().unwrap()).unwrap();
        assert_eq!(new["kind"], "frozen");
        assert_eq!(parse(&new).unwrap(), plan);
        new.as_object_mut().unwrap().remove("kind");
        assert_eq!(serde_json::from_value::<ReadPlan>(new).ok(), serde_json::from_value(old).ok());
    }

    #[test]
    fn plan_of_other_rules_or_of_another_kind_is_refused() {
        for bad in [
            frozen(ReadPlan::RULES_VERSION + 1),
            json!({"kind": "later", "sources": []}),
            json!({"kind": 1, "sources": []}),
            json!({"kind": "wanted"}),
            json!({"kind": "wanted", "sources": [], "surprise": 1}),
            json!([]),
        ] {
            assert_eq!(parse(&bad), Err(UnknownPlan), "{bad}");
        }
        assert_eq!(Plan::parse("{"), Err(UnknownPlan));
    }

    #[test]
    fn wanted_plan_needs_no_more_than_its_sources() {
        let json = json!({
            "kind": "wanted", "sources": ["people/*.csv"], "allow_live_flows": true, "limit": 7,
            "options": {"email": "mail", "map": ["location.city=town"], "properties": "none",
                "default_country": null},
        });
        let plan = parse(&json).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&plan.to_json().unwrap()).unwrap(), json);
        let least = json!({"kind": "wanted", "sources": ["a.csv"]});
        let Ok(Plan::Wanted(least)) = parse(&least) else { panic!("{:?}", parse(&least)) };
        let (sources, options) = (vec!["a.csv".to_owned()], MapOptions::default());
        assert_eq!(least, WantedPlan { sources, options, allow_live_flows: false, limit: None });
    }

    #[test]
    fn retry_plan_names_each_batch_by_its_hash() {
        let of = Id::from_uuid(Uuid::from_u128(7));
        let batch =
            RetryBatch { batch: BatchNo(3), hash: ContentHash(0xab), profiles: 10, bytes: 1000 };
        let plan = Plan::Retry(RetryPlan { of, batches: vec![batch], manifest: None });
        let json: Value = serde_json::from_str(&plan.to_json().unwrap()).unwrap();
        let hash = format!("{:032x}", 0xab);
        let batches = json!([{"batch": 3, "hash": hash, "profiles": 10, "bytes": 1000}]);
        let of = of.to_string();
        let expected = json!({"kind": "retry", "of": of, "batches": batches, "manifest": null});
        assert_eq!(json, expected);
        assert_eq!(parse(&json).unwrap(), plan);
    }
}
