//! Files without a file.

use std::path::{Path, PathBuf};

use super::{
    desired::{Desired, Problems},
    source::Source,
};

/// What files say, each called `1.yaml`, `2.yaml` and so on, or what is wrong with them.
pub(super) fn read(files: &[&str]) -> Result<Desired, String> {
    let mut desired = Desired::default();
    let mut problems = Problems::default();
    for (nth, text) in (1..).zip(files) {
        let name = format!("{nth}.yaml");
        let source = Source { name, folder: PathBuf::from("folder"), text: (*text).to_owned() };
        let document = source.parse().map_err(|err| format!("{err:#}"))?;
        desired.add(&source.name, Path::new("folder"), document, &mut problems);
    }
    problems.check().map_err(|err| format!("{err:#}"))?;
    Ok(desired)
}

#[track_caller]
pub(super) fn desired(text: &str) -> Desired {
    read(&[text]).unwrap_or_else(|err| panic!("{err}\n{text}"))
}
