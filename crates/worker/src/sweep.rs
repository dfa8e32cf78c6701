//! What nobody needs any more is removed from staging: what ended runs left, and what a crash left.
//!
//! The control-plane decides, because it has the runs and the clock. Here is only what is there: objects are
//! looked up first and asked about then, so what is put meanwhile is not removed.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use segue_model::{
    ClaimId, RunId,
    work::{Kept, Spent},
};
use segue_staging::{Found, Key, Staging, StagingError};

use crate::{
    ControlPlane,
    error::{Failure, words},
    worker::Shared,
};

/// A file is written within seconds; nobody finishes one that was begun so long ago.
const UNFINISHED: Duration = Duration::from_hours(1);
/// No reading takes so long: whoever left files in a scratch folder then has died.
const SCRATCH: Duration = Duration::from_hours(48);
/// So many objects are asked about at a time.
const MOST_OBJECTS: usize = 1000;

/// Sweeps again and again, for ever. Any number of workers may do so at the same time.
pub(crate) async fn regularly<C: ControlPlane>(shared: &Shared<C>) {
    let Some(each) = shared.settings.sweep_each else { return std::future::pending().await };
    let mut tick = tokio::time::interval(each);
    loop {
        tick.tick().await;
        match sweep(shared).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "what nobody needs was removed from staging"),
            Err(Failure::Port(err)) => {
                tracing::info!(error = words(&err), "staging is swept later");
            }
            Err(Failure::Staging(err)) => {
                tracing::warn!(error = words(&err), "staging could not be swept");
            }
        }
    }
}

/// One look at all that is there; returns of how many runs something was removed.
pub(crate) async fn sweep<C: ControlPlane>(shared: &Shared<C>) -> Result<usize, Failure> {
    let begin = |staging: &Staging| {
        let now = staging.now()?;
        if let Some(before) = now.checked_sub(UNFINISHED) {
            staging.remove_unfinished(before)?;
        }
        Ok((now, staging.runs()?))
    };
    let (now, runs) = shared.staging.off_thread(begin).await?;
    let scratch = shared.settings.scratch.clone();
    let emptied = move |_: &Staging| {
        remove_scratch(&scratch, now);
        Ok(())
    };
    shared.staging.off_thread(emptied).await?;
    let (mut asked, mut objects, mut removed) = (Vec::new(), 0, 0);
    for run in runs {
        let found = shared.staging.off_thread(move |staging| staging.found(run)).await?;
        let Some(found) = found else { continue };
        for kept in questions(run, found, now) {
            objects += 1 + kept.batches.len() + kept.reports.len();
            asked.push(kept);
            if objects >= MOST_OBJECTS {
                removed += remove(shared, &std::mem::take(&mut asked)).await?;
                objects = 0;
            }
        }
    }
    Ok(removed + remove(shared, &asked).await?)
}

/// Of a run with many objects some at a time; of one without any that there is nothing.
fn questions(run: RunId, Found { keys, written }: Found, now: SystemTime) -> Vec<Kept> {
    let age = now.duration_since(written).unwrap_or_default();
    let (mut batches, mut reports) = (Vec::new(), Vec::new());
    for key in &keys {
        match key {
            Key::Body { hash, .. } | Key::Index { hash, .. } => batches.push(*hash),
            Key::Rejects { .. } | Key::Warnings { .. } => reports.push(key.to_string()),
        }
    }
    // A body and its index have one hash.
    batches.sort_unstable_by_key(|hash| hash.0);
    batches.dedup();
    let mut kept = Vec::new();
    let (mut batches, mut reports) = (batches.into_iter(), reports.into_iter());
    loop {
        let batches: Vec<_> = batches.by_ref().take(MOST_OBJECTS).collect();
        let reports: Vec<_> = reports.by_ref().take(MOST_OBJECTS - batches.len()).collect();
        let more = !batches.is_empty() || !reports.is_empty();
        if more || kept.is_empty() {
            kept.push(Kept { run, batches, reports, age });
        }
        if !more {
            return kept;
        }
    }
}

async fn remove<C: ControlPlane>(shared: &Shared<C>, asked: &[Kept]) -> Result<usize, Failure> {
    if asked.is_empty() {
        return Ok(0);
    }
    let spent = shared.control_plane.sweep(asked).await?;
    Ok(shared.staging.off_thread(move |staging| Ok(remove_all(staging, &spent))).await?)
}

/// Blocking. What cannot be removed stays until the next time, and does not keep the rest.
fn remove_all(staging: &Staging, spent: &[Spent]) -> usize {
    for Spent { run, batches, reports } in spent {
        let run = *run;
        let pairs = batches.iter().flat_map(|hash| {
            let hash = *hash;
            [Key::Body { run, hash }, Key::Index { run, hash }]
        });
        let reports = reports.iter().filter_map(|name| name.parse::<Key>().ok());
        let mut left = Ok(());
        for key in pairs.chain(reports.filter(|key| key.run() == run)) {
            left = left.and(staging.delete(&key));
        }
        note(run, left.and_then(|()| staging.remove_empty(run)));
    }
    let some = |spent: &&Spent| !spent.batches.is_empty() || !spent.reports.is_empty();
    spent.iter().filter(some).count()
}

/// What readers left that died. Each had a folder named by its claim.
fn remove_scratch(folder: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let of_claim = entry.file_name().to_str().is_some_and(|it| it.parse::<ClaimId>().is_ok());
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let age = written.ok().and_then(|written| now.duration_since(written).ok());
        if of_claim && age.is_some_and(|age| age > SCRATCH) {
            // Another worker of this machine may be about it.
            if let Err(err) = fs::remove_dir_all(entry.path()) {
                tracing::info!(error = words(&err), "a scratch folder could not be removed");
            }
        }
    }
}

fn note(run: RunId, removed: Result<(), StagingError>) {
    if let Err(err) = removed {
        tracing::warn!(run.id = %run, error = words(&err), "not everything could be removed");
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use bytes::Bytes;
    use segue_model::{ClaimId, ContentHash, Id, RunId};
    use segue_staging::{Key, Staging};
    use uuid::Uuid;

    use super::{MOST_OBJECTS, sweep};
    use crate::testing::{Scripted, shared};

    fn run(n: u128) -> RunId {
        Id::from_uuid(Uuid::from_u128(n))
    }

    fn index(run: RunId, hash: u128) -> Key {
        Key::Index { run, hash: ContentHash(hash) }
    }

    fn rejects(run: RunId, name: &str) -> Key {
        Key::Rejects { run, name: name.parse().unwrap() }
    }

    fn put(staging: &Staging, key: &Key) {
        staging.put(key, Bytes::from_static(b"content")).unwrap();
    }

    #[tokio::test]
    async fn what_is_spent_is_removed_with_its_folders_and_nothing_else() {
        let port = Scripted { over: vec![run(1), run(3)].into(), ..Scripted::default() };
        let (folder, shared) = shared(port);
        for run in [run(1), run(2)] {
            put(&shared.staging, &index(run, 1));
            put(&shared.staging, &rejects(run, "0-mapping"));
        }
        put(&shared.staging, &index(run(3), 1));
        let foreign = folder.path().join("staging").join(run(3).to_string()).join("notes");
        fs::write(&foreign, "of somebody else").unwrap();
        assert_eq!(sweep(&shared).await.unwrap(), 2);
        assert_eq!(shared.staging.runs().unwrap(), [run(2), run(3)]);
        assert!(foreign.exists());
        for key in [index(run(2), 1), rejects(run(2), "0-mapping")] {
            assert!(shared.staging.get(&key).unwrap().is_some(), "{key}");
        }
        let kept = shared.control_plane.kept.lock().unwrap().concat();
        assert_eq!(kept[0].reports, [rejects(run(1), "0-mapping").to_string()]);
        assert!(kept.iter().all(|kept| kept.age < Duration::from_mins(1)));
        assert_eq!(kept.iter().map(|kept| kept.run).collect::<Vec<_>>(), [run(1), run(2), run(3)]);
    }

    #[tokio::test]
    async fn empty_folders_of_runs_that_are_over_are_removed() {
        let (_folder, shared) =
            shared(Scripted { over: vec![run(1)].into(), ..Scripted::default() });
        for run in [run(1), run(2)] {
            put(&shared.staging, &index(run, 1));
            shared.staging.delete(&index(run, 1)).unwrap();
        }
        assert_eq!(sweep(&shared).await.unwrap(), 0);
        assert_eq!(shared.staging.runs().unwrap(), [run(2)]);
    }

    #[tokio::test]
    async fn many_objects_are_asked_about_some_at_a_time() {
        let (_folder, shared) =
            shared(Scripted { over: vec![run(1)].into(), ..Scripted::default() });
        for n in 0..(MOST_OBJECTS as u128 + 10) {
            put(&shared.staging, &index(run(1), n));
        }
        put(&shared.staging, &rejects(run(1), "0-mapping"));
        sweep(&shared).await.unwrap();
        assert_eq!(shared.staging.runs().unwrap(), []);
        for kept in shared.control_plane.kept.lock().unwrap().iter() {
            let objects: usize =
                kept.iter().map(|kept| kept.batches.len() + kept.reports.len()).sum();
            assert!(objects <= MOST_OBJECTS, "{objects}");
        }
    }

    #[tokio::test]
    async fn file_that_was_begun_long_ago_and_never_finished_is_removed() {
        let (folder, shared) = shared(Scripted::default());
        let [old, new] = ["old", "new"].map(|name| folder.path().join("incoming").join(name));
        for path in [&old, &new] {
            fs::write(path, "half").unwrap();
        }
        let file = fs::File::open(&old).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - Duration::from_mins(61)).unwrap();
        sweep(&shared).await.unwrap();
        assert!(!old.exists() && new.exists());
    }

    #[tokio::test]
    async fn scratch_of_a_reader_that_died_long_ago_is_removed() {
        let (_folder, shared) = shared(Scripted::default());
        let claim = |n: u128| ClaimId::from_uuid(Uuid::from_u128(n)).to_string();
        let [old, new, foreign] =
            [claim(1), claim(2), "notes".to_owned()].map(|name| shared.settings.scratch.join(name));
        for folder in [&old, &new, &foreign] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("000001.seen"), "spilled").unwrap();
        }
        for folder in [&old, &foreign] {
            let file = fs::File::open(folder).unwrap();
            let written = file.metadata().unwrap().modified().unwrap();
            file.set_modified(written - Duration::from_hours(49)).unwrap();
        }
        sweep(&shared).await.unwrap();
        assert!(!old.exists() && new.exists() && foreign.exists());
    }
}
