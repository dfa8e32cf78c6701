//! From a row to a profile: valid JSON to the fields of the mapping, or a reject that changes nothing.

use segue_model::{Cell, MAX_PROFILE_BYTES};
use segue_profile::{MapOptions, MapRule, Mapper, Mapping, Sample, identity_of, plan};
use serde_json::Value;

/// Text of lines: the columns, rules in the form of `--map`, and then rows, all separated by commas. A
/// cell may be marked as a number (`#`) or a boolean (`!`); one that begins with a bracket is an array.
pub fn mapping(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let columns: Vec<String> =
        lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
    let rules = rules(lines.next().unwrap_or_default());
    let rows: Vec<Vec<Cell<'_>>> =
        lines.map(|line| line.split(',').map(cell).collect::<Vec<_>>()).collect();
    for typed in [false, true] {
        let mut sample = Sample::new(columns.len(), typed);
        for row in &rows {
            sample.see(&row[..]);
        }
        let country = typed.then(|| "US".parse().unwrap());
        let options =
            MapOptions { map: rules.clone(), default_country: country, ..MapOptions::default() };
        match plan(&columns, &sample, &options) {
            Ok(mapping) => every_row_has_one_fate(&columns, &mapping, &rows),
            Err(err) => assert!(err.to_string().len() < 32 << 10 || data.len() > 4 << 10, "{err}"),
        }
    }
}

fn rules(line: &str) -> Vec<MapRule> {
    let parsed = line.split(',').filter_map(|rule| rule.parse::<MapRule>().ok());
    let same = |rule: MapRule| {
        assert_eq!(rule.to_string().parse::<MapRule>().as_ref(), Ok(&rule));
        rule
    };
    parsed.map(same).collect()
}

fn cell(text: &str) -> Cell<'_> {
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    match text.as_bytes() {
        [] => Cell::Empty,
        [b'!', rest @ ..] => Cell::Bool(rest.len() % 2 == 0),
        [b'#', b'-' | b'0'..=b'9', ..] if is_json(&text[1..]) => Cell::Number(&text[1..]),
        [b'[', ..] if serde_json::from_str::<Value>(text).is_ok() => Cell::Json(text),
        _ => Cell::Text(text),
    }
}

fn every_row_has_one_fate(columns: &[String], mapping: &Mapping, rows: &[Vec<Cell<'_>>]) {
    let json = serde_json::to_string(mapping).unwrap();
    let read: Mapping = serde_json::from_str(&json).unwrap();
    assert_eq!(&read, mapping, "a frozen mapping is the same mapping");
    let mut mapper = Mapper::new(mapping, columns).unwrap();
    let mut body = Vec::new();
    for row in rows {
        let before = body.len();
        let mut alone = Vec::new();
        let again = Mapper::new(&read, columns).unwrap().map(&row[..], &mut alone);
        match mapper.map(&row[..], &mut body) {
            Ok(profile) => {
                assert_eq!(body[before..], alone, "rows before it change nothing");
                assert_eq!(again.map(|it| it.payload_hash), Ok(profile.payload_hash));
                let identity = std::str::from_utf8(&body[profile.identity]).unwrap();
                assert_eq!(identity_of(identity).as_deref(), Ok(identity));
                profile_is_valid(&body[before..], identity, mapping);
            }
            Err(reject) => {
                assert_eq!((body.len(), alone.len()), (before, 0), "nothing is appended");
                assert_eq!(again, Err(reject));
                assert!(mapper.warnings().is_empty());
            }
        }
    }
}

/// It is what Klaviyo takes, about this person, and has no field that is not mapped.
fn profile_is_valid(json: &[u8], identity: &str, mapping: &Mapping) {
    assert!(json.len() <= MAX_PROFILE_BYTES);
    let profile: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(profile["type"], "profile");
    assert_eq!(profile["attributes"]["email"], identity);
    let mapped: Vec<String> =
        mapping.entries().iter().map(|entry| entry.target().to_string()).collect();
    for (name, value) in profile["attributes"].as_object().unwrap() {
        let group = matches!(name.as_str(), "location" | "properties").then(|| value.as_object());
        match group.flatten() {
            Some(members) => {
                for member in members.keys() {
                    let field = format!("{name}.{member}");
                    assert!(mapped.contains(&field), "{field} is not in {mapped:?}");
                }
            }
            None => assert!(mapped.contains(name), "{name} is not in {mapped:?}"),
        }
    }
}
