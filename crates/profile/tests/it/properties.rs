//! What holds for all rows.

use proptest::prelude::*;
use segue_model::{Cell, MAX_PROFILE_BYTES};
use segue_profile::{MapOptions, MapRule, Mapper, Mapping, Sample, identity_of, plan};
use serde_json::{Map, Value, json};

/// A cell that owns its text.
#[derive(Debug, Clone)]
enum Owned {
    Empty,
    Text(String),
    Number(String),
    Bool(bool),
    Json(String),
}

impl Owned {
    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Empty => Cell::Empty,
            Self::Text(text) => Cell::Text(text),
            Self::Number(text) => Cell::Number(text),
            Self::Bool(value) => Cell::Bool(*value),
            Self::Json(text) => Cell::Json(text),
        }
    }
}

fn row(cells: &[Owned]) -> Vec<Cell<'_>> {
    cells.iter().map(Owned::cell).collect()
}

/// Text that comes near to what some rule accepts, and any text.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<String>(),
        1 => "\\PC{0,12}",
        1 => "[a-zA-Z0-9.'+_-]{1,12}@([a-zA-Z0-9äüß-]{1,8}\\.){1,2}[a-z]{1,4}",
        1 => "[+]?[0-9 ().-]{0,20}",
        1 => "-?[0-9]{1,18}([.][0-9]{1,4})?(e[0-9]{1,3})?",
        1 => "[a-zA-Z]{1,4}([-_][a-zA-Z0-9]{1,8}){0,3}",
        1 => "(true|FALSE|2026-0[1-9]-3[01]|Europe/Berlin|192[.]0[.]2[.]1|\\[1\\])",
    ]
}

fn cell() -> impl Strategy<Value = Owned> {
    prop_oneof![
        1 => Just(Owned::Empty),
        6 => text().prop_map(Owned::Text),
        2 => text().prop_map(Owned::Number),
        1 => any::<bool>().prop_map(Owned::Bool),
        1 => prop::collection::vec(any::<String>(), 0..3)
            .prop_map(|list| Owned::Json(serde_json::to_string(&list).unwrap())),
    ]
}

/// Every attribute, and a property of every type.
fn all_fields() -> (Vec<String>, Mapping) {
    let columns: Vec<String> = "email,phone_number,external_id,first_name,last_name,organization,\
        locale,title,image,address1,address2,city,country,latitude,longitude,region,zip,timezone,\
        ip,text,number,boolean,date,list,\"odd\"\u{1}\\é"
        .split(',')
        .map(str::to_owned)
        .collect();
    let map: Vec<MapRule> = ["text", "number", "boolean", "date", "list"]
        .iter()
        .map(|kind| format!("properties.{kind}:{kind}={kind}").parse().unwrap())
        .collect();
    let default_country = Some("US".parse().unwrap());
    let options = MapOptions { map, default_country, ..MapOptions::default() };
    let mapping = plan(&columns, &Sample::new(columns.len(), false), &options).unwrap();
    assert_eq!(mapping.entries().len(), columns.len());
    (columns, mapping)
}

fn set(object: &mut Map<String, Value>, key: &str, value: &str) {
    if !value.is_empty() {
        object.insert(key.to_owned(), json!(value));
    }
}

proptest! {
    #[test]
    fn any_row_is_a_whole_profile_or_leaves_no_trace(
        mut cells in prop::collection::vec(cell(), 25),
        good_address in any::<bool>(),
    ) {
        let (columns, mapping) = all_fields();
        if good_address {
            cells[0] = Owned::Text("ann@example.com".to_owned());
        }
        let row = row(&cells);
        let mut mapper = Mapper::new(&mapping, &columns).unwrap();
        let mut out = b"before".to_vec();
        if let Ok(profile) = mapper.map(&row[..], &mut out) {
                let bytes = &out[6..];
                prop_assert!(bytes.len() <= MAX_PROFILE_BYTES);
                let value: Value = serde_json::from_slice(bytes).unwrap();
                prop_assert_eq!(&value["type"], "profile");
                let identity = std::str::from_utf8(&out[profile.identity.clone()]).unwrap();
                prop_assert_eq!(&value["attributes"]["email"], identity);
        } else {
            prop_assert_eq!(&out[..], b"before");
        }
    }

    #[test]
    fn mapping_is_deterministic(cells in prop::collection::vec(cell(), 25)) {
        let (columns, mapping) = all_fields();
        let row = row(&cells);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let mut used = Mapper::new(&mapping, &columns).unwrap();
        let mut fresh = used.clone();
        used.map(&[Cell::Text("x@example.com"), Cell::Text("bad")][..], &mut Vec::new()).unwrap();
        prop_assert_eq!(used.map(&row[..], &mut first), fresh.map(&row[..], &mut second));
        prop_assert_eq!(first, second);
        prop_assert_eq!(used.warnings(), fresh.warnings());
    }

    #[test]
    fn the_writer_says_what_serde_json_says(
        local in "[a-zA-Z0-9'+_-]{1,20}",
        [first, city, zip, tier, odd] in any::<[String; 5]>(),
        (orders, spent) in any::<(i32, u16)>(),
        active in any::<bool>(),
    ) {
        let odd_name = "\"odd\"\u{1}\\é";
        let columns = ["email", "first_name", "city", "zip", "tier", "orders", "spent", "active",
            odd_name].map(str::to_owned);
        let rules = ["properties.orders:number=orders", "properties.spent:number=spent",
            "properties.active:boolean=active"];
        let map = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let options = MapOptions { map, ..MapOptions::default() };
        let mapping = plan(&columns, &Sample::new(9, false), &options).unwrap();
        let mut mapper = Mapper::new(&mapping, &columns).unwrap();
        let email = format!("{local}@Example.org");
        let numbers = (orders.to_string(), format!("{spent}.25"), active.to_string());
        let row = [&email, &first, &city, &zip, &tier, &numbers.0, &numbers.1, &numbers.2, &odd]
            .map(|text| Cell::Text(text));
        let mut out = Vec::new();
        mapper.map(&row[..], &mut out).unwrap();

        let mut location = Map::new();
        set(&mut location, "city", &city);
        set(&mut location, "zip", zip.trim());
        let mut properties = Map::new();
        set(&mut properties, "tier", &tier);
        properties.insert("orders".into(), json!(orders));
        properties.insert("spent".into(), json!(f64::from(spent) + 0.25));
        properties.insert("active".into(), json!(active));
        set(&mut properties, odd_name, &odd);
        let mut attributes = Map::new();
        attributes.insert("email".into(), json!(email.to_ascii_lowercase()));
        set(&mut attributes, "first_name", &first);
        if !location.is_empty() {
            attributes.insert("location".into(), location.into());
        }
        attributes.insert("properties".into(), properties.into());
        let expected = json!({"type": "profile", "attributes": attributes});
        prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
    }

    #[test]
    fn an_identity_is_its_own_identity(
        address in prop_oneof![
            any::<String>(),
            "[!-~]{1,10}@\\PC{1,8}\\.\\PC{1,8}",
            "[a-zA-Z.+]{1,8}@(xn--[a-z0-9-]{1,8}|[\\p{L}\\p{N}.-]{1,9})\\.[\\p{L}]{1,6}",
        ],
    ) {
        if let Ok(identity) = identity_of(&address) {
            prop_assert!(identity.is_ascii() && identity.len() <= 100);
            prop_assert!(!identity.bytes().any(|byte| byte.is_ascii_uppercase()));
            prop_assert_eq!(identity_of(&identity), Ok(identity.clone()));
            prop_assert_eq!(identity_of(&format!(" {address}\n")), Ok(identity));
        }
    }

    #[test]
    fn a_text_cell_of_the_sample_is_never_left_out(
        cells in prop::collection::vec(
            prop_oneof!["-?[0-9]{1,17}([.][0-9])?", "(true|False)", "2026-02-[0-2][0-9]", "\\PC{0,3}"],
            1..4,
        ),
    ) {
        let columns = ["email", "x"].map(str::to_owned);
        let mut sample = Sample::new(2, false);
        let rows: Vec<_> =
            cells.iter().map(|cell| [Cell::Text("a@example.com"), Cell::Text(cell)]).collect();
        for row in &rows {
            sample.see(&row[..]);
        }
        let mapping = plan(&columns, &sample, &MapOptions::default()).unwrap();
        let mut mapper = Mapper::new(&mapping, &columns).unwrap();
        for row in &rows {
            mapper.map(&row[..], &mut Vec::new()).unwrap();
            prop_assert!(mapper.warnings().is_empty(), "{:?}", mapper.warnings());
        }
    }
}
