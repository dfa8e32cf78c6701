//! Pages of runs: how many, and from where.

use segue_model::{ExportId, Id, Micros, RunState};
use segue_store::read::RunPlace;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

const DEFAULT_SIZE: u32 = 100;
const MOST: u32 = 1000;

/// Which runs a list is of. A token is good for the list that it comes from, and for no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) export: Option<ExportId>,
    pub(crate) state: Option<RunState>,
}

/// How many runs are wanted: more than 1000 count as 1000, as is usual. `None`: fewer than none.
pub(crate) fn size(wanted: i32) -> Option<u32> {
    match u32::try_from(wanted).ok()? {
        0 => Some(DEFAULT_SIZE),
        wanted => Some(wanted.min(MOST)),
    }
}

/// The place behind which the next page begins, as a text in which callers should see no meaning.
pub(crate) fn token(place: RunPlace, filter: Filter) -> String {
    let RunPlace { created, run } = place;
    format!("{:016x}{:032x}{:016x}", created.0, run.uuid().as_u128(), seal(place, filter))
}

/// `None`: not a token, or one of another list.
pub(crate) fn place(text: &str, filter: Filter) -> Option<RunPlace> {
    let created = u64::from_str_radix(text.get(..16)?, 16).ok()?;
    let run = u128::from_str_radix(text.get(16..48)?, 16).ok()?;
    let created = Micros(created.cast_signed());
    let place = RunPlace { created, run: Id::from_uuid(Uuid::from_u128(run)) };
    // The same place could be written in other ways; only ours is a token.
    (token(place, filter) == text).then_some(place)
}

/// Tells a token that was cut, changed or made by somebody else; it keeps nothing secret.
fn seal(place: RunPlace, Filter { export, state }: Filter) -> u64 {
    let export = export.map(|id| id.to_string()).unwrap_or_default();
    let state = state.map_or("", RunState::name);
    xxh3_64(format!("runs {} {} {export} {state}", place.created.0, place.run).as_bytes())
}

#[cfg(test)]
mod tests {
    use segue_model::{Id, Micros, RunState};
    use segue_store::read::RunPlace;
    use uuid::Uuid;

    use super::{Filter, place, size, token};

    const ALL: Filter = Filter { export: None, state: None };

    fn here() -> RunPlace {
        let run = Id::from_uuid(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001));
        RunPlace { created: Micros(1_790_000_000_123_456), run }
    }

    #[test]
    fn token_leads_back_to_its_place() {
        let early = RunPlace { created: Micros(-1), ..here() };
        for here in [here(), early] {
            assert_eq!(place(&token(here, ALL), ALL), Some(here));
        }
    }

    #[test]
    fn token_with_any_character_changed_is_none() {
        let token = token(here(), ALL);
        for at in 0..token.len() {
            for other in ["0", "f", "F", "+", "é", ""] {
                let mut bad = token.clone();
                bad.replace_range(at..=at, other);
                assert!(bad == token || place(&bad, ALL).is_none(), "{bad}");
            }
        }
        for bad in ["", "next", &token.to_uppercase(), &format!("{token}0"), &token[1..]] {
            assert_eq!(place(bad, ALL), None, "{bad}");
        }
    }

    #[test]
    fn token_of_another_list_is_none() {
        let export = Some(Id::from_uuid(Uuid::from_u128(1)));
        let filters = [
            ALL,
            Filter { export, ..ALL },
            Filter { state: Some(RunState::Failed), ..ALL },
            Filter { export, state: Some(RunState::Failed) },
        ];
        for one in filters {
            for other in filters {
                let found = place(&token(here(), one), other);
                assert_eq!(found.is_some(), one == other, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!([0, 1, 1000, 5000].map(size), [Some(100), Some(1), Some(1000), Some(1000)]);
        assert_eq!(size(-1), None);
    }
}
