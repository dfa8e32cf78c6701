//! The look job: something about files, for somebody who waits.

mod describe;
mod list;
mod preview;

use segue_model::{
    Pii,
    look::{Asked, Found, MAX_ANSWER_BYTES},
    work::{LookWork, Looked, Verdict},
};
use segue_source::{ReadOptions, Segment};
use tracing::Span;

use crate::{
    ControlPlane,
    error::words,
    look::preview::Columns,
    read::{PrepareError, ReadError, Sources, infer_mapping},
    worker::Shared,
};

/// Why a look finds nothing: words for whoever asked. They quote names of columns and files, and no cell.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Source(#[from] segue_source::SourceError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error("the question was asked by another version of segue")]
    Unknown(#[source] serde_json::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the export has no valid list")]
    List,
    #[error("this worker has one segment and no folder")]
    NoFolder,
    #[error("the answer cannot be written down")]
    Unwritable(#[source] serde_json::Error),
    #[error("the answer is larger than 1 MiB: ask about less")]
    TooLarge,
}

/// Answers. Whatever goes wrong is an answer too: whoever waits should hear it now.
pub(crate) async fn look<C: ControlPlane>(shared: &Shared<C>, work: LookWork) -> Verdict {
    let LookWork { look, asked, patience } = work;
    let (sources, span) = (shared.settings.sources.clone(), Span::current());
    let how = preview::How {
        dedupe_memory: shared.settings.dedupe_memory,
        scratch: shared.settings.scratch.join(look.to_string()),
        batch_profiles: shared.settings.batch_profiles,
        // Whoever waits wants to ask Klaviyo, too.
        patience: patience / 2,
        seed: look.uuid().as_u64_pair().1,
    };
    let search = move || span.in_scope(|| found(&sources, &asked, &how));
    let looked = match tokio::time::timeout(patience, tokio::task::spawn_blocking(search)).await {
        Ok(Ok(Ok(found))) => Looked::Found(found),
        Ok(Ok(Err(err))) => Looked::Failed(words(&err)),
        Ok(Err(panic)) => {
            tracing::error!(error = %panic, look.id = %look, "a look panicked");
            Looked::Failed(
                "the worker panicked: this is a bug in segue, please report it".to_owned(),
            )
        }
        Err(_) => Looked::Failed("to look takes too long: ask about less".to_owned()),
    };
    Verdict::Looked(looked)
}

/// Blocking.
fn found(sources: &Sources, asked: &str, how: &preview::How) -> Result<Pii<String>, LookError> {
    let asked: Asked = serde_json::from_str(asked).map_err(LookError::Unknown)?;
    let found = match asked {
        Asked::List { within, path } => {
            Found::Listed(list::list(folder(sources)?, &within, &path)?)
        }
        Asked::Describe { within, sources: patterns } => {
            let segment = open(sources, &within, &patterns)?;
            Found::Described(describe::describe(&segment)?)
        }
        Asked::Settle { within, sources: patterns, options } => {
            let options = serde_json::from_str(&options).map_err(LookError::Unknown)?;
            let segment = open(sources, &within, &patterns)?;
            let mapping = infer_mapping(&segment, &options)?;
            Found::Settled { mapping: json(&mapping)? }
        }
        Asked::Preview { within, sources: patterns, options, columns, list_id } => {
            let columns = match columns {
                Some(settled) => Columns::Settled(settled),
                None => {
                    Columns::ByRows(serde_json::from_str(&options).map_err(LookError::Unknown)?)
                }
            };
            let list = list_id.parse().map_err(|_| LookError::List)?;
            let segment = open(sources, &within, &patterns)?;
            Found::Previewed(Box::new(preview::preview(&segment, &columns, list, how)?))
        }
    };
    let answer = json(&found)?;
    if answer.len() > MAX_ANSWER_BYTES {
        return Err(LookError::TooLarge);
    }
    Ok(Pii::new(answer))
}

fn open(sources: &Sources, within: &str, patterns: &[String]) -> Result<Segment, LookError> {
    let folder = folder(sources)?;
    Ok(Segment::open_within(folder, within, patterns, &ReadOptions::default())?)
}

fn json(value: &impl serde::Serialize) -> Result<String, LookError> {
    serde_json::to_string(value).map_err(LookError::Unwritable)
}

fn folder(sources: &Sources) -> Result<&std::path::Path, LookError> {
    match sources {
        Sources::Below(folder) => Ok(folder),
        Sources::Opened(_) => Err(LookError::NoFolder),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use segue_model::{
        Id,
        look::{Asked, Found},
        work::{LookWork, Looked, Verdict},
    };
    use uuid::Uuid;

    use crate::testing::{Scripted, shared};

    async fn ask(write: impl Fn(&Path), asked: Asked) -> Result<Found, String> {
        let (folder, shared) = shared(Scripted::default());
        write(folder.path());
        let work = LookWork {
            look: Id::from_uuid(Uuid::from_u128(7)),
            asked: serde_json::to_string(&asked).unwrap(),
            patience: std::time::Duration::from_secs(30),
        };
        match super::look(&shared, work).await {
            Verdict::Looked(Looked::Found(found)) => {
                Ok(serde_json::from_str(found.expose()).unwrap())
            }
            Verdict::Looked(Looked::Failed(words)) => Err(words),
            other => panic!("{other:?}"),
        }
    }

    fn people(folder: &Path) {
        fs::create_dir_all(folder.join("crm/old")).unwrap();
        fs::write(
            folder.join("crm/a.csv"),
            "email,tier,visits\na@example.com,gold,1\nb@example.com,,2\n",
        )
        .unwrap();
        fs::write(folder.join("crm/.hidden"), "x").unwrap();
        fs::write(folder.join("secret.csv"), "email\nc@example.com\n").unwrap();
        std::os::unix::fs::symlink("../secret.csv", folder.join("crm/link.csv")).unwrap();
    }

    #[tokio::test]
    async fn a_folder_is_listed_without_what_leads_out_of_it() {
        let asked = Asked::List { within: "crm".into(), path: String::new() };
        let Ok(Found::Listed(listing)) = ask(people, asked).await else { panic!() };
        let told: Vec<_> =
            listing.entries.iter().map(|it| (it.path.as_str(), it.folder, it.rows)).collect();
        assert_eq!(told, [("old", true, None), ("a.csv", false, Some(2))]);
        assert!(listing.entries.iter().all(|it| it.modified.is_some()) && !listing.truncated);
    }

    #[tokio::test]
    async fn whatever_leads_out_of_the_folder_is_refused_in_words() {
        for path in ["..", "../secret.csv", "/etc", "link.csv"] {
            let asked = Asked::List { within: "crm".into(), path: path.into() };
            let words = ask(people, asked).await.unwrap_err();
            assert!(words.contains("outside of the source folder"), "{path}: {words}");
            let sources = vec![path.to_owned()];
            let asked = Asked::Describe { within: "crm".into(), sources };
            let words = ask(people, asked).await.unwrap_err();
            assert!(words.contains("outside of the source folder"), "{path}: {words}");
        }
    }

    #[tokio::test]
    async fn columns_are_described_without_a_cell() {
        let asked = Asked::Describe { within: "crm".into(), sources: vec!["a.csv".into()] };
        let Ok(Found::Described(told)) = ask(people, asked).await else { panic!() };
        let columns: Vec<_> = told
            .columns
            .iter()
            .map(|it| {
                (it.name.as_str(), it.kind.as_str(), it.filled, it.longest, it.attribute.as_str())
            })
            .collect();
        assert_eq!(
            columns,
            [
                ("email", "text", 2, 13, "email"),
                ("tier", "text", 1, 4, "properties.tier"),
                ("visits", "number", 2, 1, "properties.visits"),
            ]
        );
        assert_eq!((told.sampled_rows, told.problem.as_deref()), (2, None));
        assert!(!serde_json::to_string(&told).unwrap().contains("example.com"));
    }

    #[tokio::test]
    async fn a_segment_that_cannot_be_exported_is_described_with_the_reason() {
        let write = |folder: &Path| fs::write(folder.join("a.csv"), "name\nAnn\n").unwrap();
        let asked = Asked::Describe { within: String::new(), sources: vec!["a.csv".into()] };
        let Ok(Found::Described(told)) = ask(write, asked).await else { panic!() };
        assert!(told.problem.is_some_and(|words| words.contains("the columns are: name")));
        assert_eq!(told.columns[0].attribute, "");
    }

    fn settle(sources: &[&str], options: &str) -> Asked {
        let sources = sources.iter().map(|it| (*it).to_owned()).collect();
        Asked::Settle { within: "crm".into(), sources, options: options.to_owned() }
    }

    fn preview(columns: Option<String>) -> Asked {
        Asked::Preview {
            within: "crm".into(),
            sources: vec!["a.csv".into()],
            options: "{}".into(),
            columns,
            list_id: "LIST01".into(),
        }
    }

    #[tokio::test]
    async fn columns_are_settled_by_what_the_export_says() {
        let options = r#"{"map":["properties.rank=tier"],"properties":"none"}"#;
        let Ok(Found::Settled { mapping }) = ask(people, settle(&["a.csv"], options)).await else {
            panic!("nothing is settled")
        };
        let mapping: segue_profile::Mapping = serde_json::from_str(&mapping).unwrap();
        let told: Vec<_> = mapping.describe().map(|[attribute, ..]| attribute).collect();
        assert_eq!(
            (told, mapping.unsent()),
            (vec!["email".into(), "properties.rank".into()], &["visits".to_owned()][..])
        );
        let words = ask(people, settle(&["b.csv"], "{}")).await.unwrap_err();
        assert!(words.contains("b.csv"), "{words}");
    }

    #[tokio::test]
    async fn preview_goes_by_the_columns_that_are_settled() {
        let Ok(Found::Settled { mapping }) = ask(people, settle(&["a.csv"], "{}")).await else {
            panic!("nothing is settled")
        };
        let more = |folder: &Path| {
            people(folder);
            let rows = "town,email,tier,visits\nUlm,a@example.com,gold,many\n,nobody,,2\n";
            fs::write(folder.join("crm/a.csv"), rows).unwrap();
        };
        let Ok(Found::Previewed(told)) = ask(more, preview(Some(mapping.clone()))).await else {
            panic!("no preview")
        };
        let sums = &told.sums;
        assert_eq!((sums.rows, sums.profiles, sums.batches, sums.warnings), (2, 1, 1, 1));
        assert!(told.complete && told.source_bytes > 0);
        let first: serde_json::Value = serde_json::from_str(&told.first[0]).unwrap();
        assert_eq!(first["attributes"]["properties"], serde_json::json!({ "tier": "gold" }));
        assert_eq!(
            (&told.drawn[0][..], &told.first_rejects[0].identifier[..]),
            ("a@example.com", "nobody")
        );
        assert!(told.mapping.contains(r#""unsent":["town"]"#), "{}", told.mapping);
        // By its rows alone it would send more.
        let Ok(Found::Previewed(told)) = ask(more, preview(None)).await else {
            panic!("no preview")
        };
        assert!(told.first[0].contains("Ulm") && told.first[0].contains("many"));
        assert!(!format!("{told:?}").contains("Ulm"));

        let fewer = |folder: &Path| {
            people(folder);
            fs::write(folder.join("crm/a.csv"), "email,visits\na@example.com,1\n").unwrap();
        };
        let words = ask(fewer, preview(Some(mapping))).await.unwrap_err();
        assert!(words.contains("no column \"tier\"") && words.contains("settle"), "{words}");
    }
}
