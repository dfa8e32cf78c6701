//! What a mapper does with rows, by example.

use segue_model::{
    Cell::{self, Bool, Empty, Json, Number, Text},
    MAX_PROFILE_BYTES, RejectReason, WarningReason,
};
use segue_profile::{
    MapOptions, MapRule, Mapper, Mapping, MappingError, Profile, Reject, Sample, identity_of, plan,
};

fn columns(header: &str) -> Vec<String> {
    header.split(',').map(str::to_owned).collect()
}

fn mapping(header: &str, options: &MapOptions) -> Mapping {
    let columns = columns(header);
    plan(&columns, &Sample::new(columns.len(), false), options).unwrap()
}

fn mapper(header: &str) -> Mapper {
    Mapper::new(&mapping(header, &MapOptions::default()), &columns(header)).unwrap()
}

fn map(mapper: &mut Mapper, row: &[Cell<'_>]) -> Result<String, Reject> {
    let mut out = Vec::new();
    mapper.map(row, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_row_becomes_a_profile_as_klaviyo_takes_it() {
    let header = "loyalty tier,Email,Vorname,phone,Stadt,country,external_id";
    let row = [
        Text("gold"),
        Text(" Ann@Example.com "),
        Text("Ann \"A\"\n"),
        Text("+1 (202) 555-0123"),
        Text("Köln"),
        Text("DE "),
        Text("c-1"),
    ];
    let expected = concat!(
        r#"{"type":"profile","attributes":{"email":"ann@example.com","#,
        r#""phone_number":"+12025550123","external_id":"c-1","first_name":"Ann \"A\"\n","#,
        r#""location":{"city":"Köln","country":"DE"},"properties":{"loyalty tier":"gold"}}}"#,
    );
    assert_eq!(map(&mut mapper(header), &row).unwrap(), expected);
}

#[test]
fn an_empty_row_but_for_its_address_has_no_empty_objects() {
    let mut mapper = mapper("email,city,first_name,tier");
    let sent = map(&mut mapper, &[Text("a@example.com"), Text(""), Empty]).unwrap();
    assert_eq!(sent, r#"{"type":"profile","attributes":{"email":"a@example.com"}}"#);
    assert!(mapper.warnings().is_empty());
}

#[test]
fn a_group_whose_only_member_is_left_out_is_left_out_too() {
    let mut mapper = mapper("email,timezone,locale");
    let row = [Text("a@example.com"), Text("Mars/Olympus"), Text("klingon language")];
    let sent = map(&mut mapper, &row).unwrap();
    assert_eq!(sent, r#"{"type":"profile","attributes":{"email":"a@example.com"}}"#);
    let warned: Vec<_> = mapper.warnings().iter().map(|w| (w.field.as_str(), w.reason)).collect();
    assert_eq!(
        warned,
        [
            ("locale", WarningReason::LocaleInvalid),
            ("location.timezone", WarningReason::TimezoneInvalid)
        ]
    );
}

#[test]
fn the_first_member_that_is_sent_has_no_comma_before_it() {
    let mut mapper = mapper("email,latitude,longitude,zip");
    let row = [Text("a@example.com"), Text("north"), Empty, Text("01067")];
    let sent = map(&mut mapper, &row).unwrap();
    assert!(sent.ends_with(r#""location":{"zip":"01067"}}}"#), "{sent}");
}

#[test]
fn warnings_are_those_of_the_last_row() {
    let mut mapper = mapper("email,phone,external_id");
    map(&mut mapper, &[Text("a@example.com"), Text("202 555 0123")]).unwrap();
    assert_eq!(mapper.warnings()[0].reason, WarningReason::PhoneNotInternational);
    map(&mut mapper, &[Text("b@example.com"), Text("+12025550123")]).unwrap();
    assert!(mapper.warnings().is_empty());
    map(&mut mapper, &[Text("a@example.com"), Text("x")]).unwrap();
    map(&mut mapper, &[Text("no address")]).unwrap_err();
    assert!(mapper.warnings().is_empty());
    let long_id = "x".repeat(256);
    map(&mut mapper, &[Text("a@example.com"), Text("x"), Text(&long_id)]).unwrap_err();
    assert!(mapper.warnings().is_empty(), "nobody went, so nothing was left out");
}

#[test]
fn the_default_country_reads_national_numbers() {
    let options =
        MapOptions { default_country: Some("US".parse().unwrap()), ..MapOptions::default() };
    let mapping = mapping("email,phone", &options);
    let mut mapper = Mapper::new(&mapping, &columns("email,phone")).unwrap();
    let sent = map(&mut mapper, &[Text("a@example.com"), Text("(202) 555-0123")]).unwrap();
    assert!(sent.contains(r#""phone_number":"+12025550123""#), "{sent}");
}

#[test]
fn a_row_is_rejected_only_for_address_external_id_or_size() {
    let mut mapper = mapper("email,external_id,phone,note");
    let long_id = "x".repeat(256);
    let long_address = format!("{}@example.com", "a".repeat(100));
    let long_note = "n".repeat(MAX_PROFILE_BYTES);
    let good = Text("a@example.com");
    for (row, field, reason) in [
        ([Empty, Empty, Empty, Empty], "email", RejectReason::EmailMissing),
        ([Text(" "), Empty, Empty, Empty], "email", RejectReason::EmailMissing),
        ([Text("a@b"), Empty, Empty, Empty], "email", RejectReason::EmailInvalid),
        ([Number("12"), Empty, Empty, Empty], "email", RejectReason::EmailInvalid),
        ([Bool(true), Empty, Empty, Empty], "email", RejectReason::EmailInvalid),
        ([Json("[1]"), Empty, Empty, Empty], "email", RejectReason::EmailInvalid),
        ([Text(&long_address), Empty, Empty, Empty], "email", RejectReason::EmailTooLong),
        ([good, Text(&long_id), Empty, Empty], "external_id", RejectReason::ExternalIdTooLong),
        ([good, Empty, Empty, Text(&long_note)], "", RejectReason::ProfileTooLarge),
    ] {
        let mut out = b"before".to_vec();
        let reject = mapper.map(&row[..], &mut out).unwrap_err();
        assert_eq!((reject.field.as_str(), reject.reason), (field, reason));
        assert_eq!(out, b"before");
        assert!(!reject.detail.is_empty());
    }
}

#[test]
fn a_profile_of_exactly_the_limit_goes() {
    let mut mapper = mapper("email,note");
    let envelope = map(&mut mapper, &[Text("a@example.com"), Text("n")]).unwrap().len() - 1;
    let note = "n".repeat(MAX_PROFILE_BYTES - envelope);
    let sent = map(&mut mapper, &[Text("a@example.com"), Text(&note)]).unwrap();
    assert_eq!(sent.len(), MAX_PROFILE_BYTES);
    let reject = map(&mut mapper, &[Text("a@example.com"), Text(&format!("{note}n"))]).unwrap_err();
    assert_eq!(reject.reason, RejectReason::ProfileTooLarge);
    let mut batch = sent.into_bytes();
    mapper.map(&[Text("a@example.com"), Text(&note)][..], &mut batch).unwrap();
    assert_eq!(batch.len(), 2 * MAX_PROFILE_BYTES, "the limit is of each profile");
}

#[test]
fn a_reject_can_be_found_again_but_prints_no_personal_data() {
    let mut mapper = mapper("phone,email,external_id");
    let mut reject = |row: [Cell<'_>; 3]| map(&mut mapper, &row).unwrap_err();
    let phone = Text("+12025550123");
    let bad = reject([phone, Text(" ann@example "), Text("c-1")]);
    assert_eq!(bad.identifier.expose(), "ann@example");
    assert!(!format!("{bad:?}").contains("ann@"), "{bad:?}");
    assert_eq!(reject([phone, Empty, Text("c-1")]).identifier.expose(), "c-1");
    assert_eq!(reject([phone, Text(" "), Empty]).identifier.expose(), "+12025550123");
    assert_eq!(reject([Empty, Empty, Empty]).identifier.expose(), "");
    let huge = "é".repeat(500);
    assert_eq!(reject([Empty, Text(&huge), Empty]).identifier.expose().chars().count(), 120);
}

#[test]
fn profiles_are_appended_and_say_where_their_identity_stands() {
    let mut mapper = mapper("email,tier");
    let mut out = b"[".to_vec();
    let mut offsets = Vec::new();
    for address in ["Ann@Example.com", "o'brien+x@exämple.co.uk"] {
        let start = out.len();
        let Profile { identity, .. } = mapper.map(&[Text(address)][..], &mut out).unwrap();
        assert_eq!(out[identity.clone()], *identity_of(address).unwrap().as_bytes());
        offsets.push(identity.start - start);
    }
    assert_eq!(offsets[0], offsets[1]);
}

#[test]
fn the_payload_hash_tells_other_values_but_not_another_address() {
    let mut mapper = mapper("email,tier");
    let mut out = Vec::new();
    let mut hash =
        |email, tier| mapper.map(&[Text(email), Text(tier)][..], &mut out).unwrap().payload_hash;
    assert_eq!(hash("a@example.com", "gold"), hash("A@Example.Com", "gold"));
    assert_eq!(hash("a@example.com", "gold"), hash("b@example.com", "gold"));
    assert_ne!(hash("a@example.com", "gold"), hash("a@example.com", "silver"));
}

#[test]
fn a_file_with_other_column_order_gives_the_same_bytes() {
    let mapping = mapping("email,city,tier", &MapOptions::default());
    let mut one = Mapper::new(&mapping, &columns("email,city,tier")).unwrap();
    let mut two = Mapper::new(&mapping, &columns("tier,email,city")).unwrap();
    let first = map(&mut one, &[Text("a@example.com"), Text("Ulm"), Text("gold")]).unwrap();
    let second = map(&mut two, &[Text("gold"), Text("a@example.com"), Text("Ulm")]).unwrap();
    assert_eq!(first, second);
}

#[test]
fn a_file_that_lacks_columns_or_has_new_ones_says_so() {
    let rule: MapRule = "title=$job".parse().unwrap();
    let options = MapOptions { map: vec![rule], ..MapOptions::default() };
    let mapping = mapping("email,city,$kept,$job", &options);
    let mapper = Mapper::new(&mapping, &columns("age,$kept,email,$job")).unwrap();
    assert_eq!(mapper.absent(), ["city"]);
    assert_eq!(mapper.unknown(), ["age"]);
    let error = Mapper::new(&mapping, &columns("city")).unwrap_err();
    assert!(matches!(error, MappingError::NoEmail(_)));
    let error = Mapper::new(&mapping, &columns("Ulm,ann@example.com")).unwrap_err();
    assert_eq!(error, MappingError::NoHeader);
}

#[test]
fn stats_count_cells_that_hold_something_and_cells_left_out() {
    let mut mapper = mapper("email,phone,tier");
    for phone in [Text("+12025550123"), Text("123"), Text("  "), Empty] {
        map(&mut mapper, &[Text("a@example.com"), phone, Text("gold")]).unwrap();
    }
    map(&mut mapper, &[Text("nobody"), Text("+12025550123"), Text("gold")]).unwrap_err();
    let stats = mapper.stats();
    let counts: Vec<_> =
        stats.fields().iter().map(|f| (f.field.as_str(), f.non_empty, f.left_out)).collect();
    assert_eq!(counts, [("email", 5, 0), ("phone_number", 2, 1), ("properties.tier", 4, 0)]);
    assert_eq!(stats.lossy().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["phone_number"]);
}

#[test]
fn a_cell_that_rejects_its_row_still_holds_something() {
    let mut mapper = mapper("email,external_id");
    map(&mut mapper, &[Text("a@example.com"), Text(&"x".repeat(256))]).unwrap_err();
    let stats = mapper.stats();
    let counts: Vec<_> = stats.fields().iter().map(|f| (f.field.as_str(), f.non_empty)).collect();
    assert_eq!(counts, [("email", 1), ("external_id", 1)]);
}

#[test]
fn text_is_read_as_a_number_only_where_the_source_has_no_types() {
    let columns = columns("email,orders");
    for (typed, sampled, sent) in [(false, Text("3"), true), (true, Number("3"), false)] {
        let mut sample = Sample::new(2, typed);
        sample.see(&[Text("a@example.com"), sampled][..]);
        let mapping = plan(&columns, &sample, &MapOptions::default()).unwrap();
        let mut mapper = Mapper::new(&mapping, &columns).unwrap();
        let profile = map(&mut mapper, &[Text("a@example.com"), Text("12")]).unwrap();
        assert_eq!(profile.contains(r#""orders":12"#), sent, "{profile}");
    }
}

#[test]
fn a_cell_that_does_not_fit_its_column_is_left_out_with_a_warning() {
    let columns = columns("email,orders");
    let mut sample = Sample::new(2, false);
    sample.see(&[Text("a@example.com"), Text("3")][..]);
    let mapping = plan(&columns, &sample, &MapOptions::default()).unwrap();
    let mut mapper = Mapper::new(&mapping, &columns).unwrap();
    let sent = map(&mut mapper, &[Text("a@example.com"), Text("12")]).unwrap();
    assert!(sent.ends_with(r#""properties":{"orders":12}}}"#), "{sent}");
    let sent = map(&mut mapper, &[Text("a@example.com"), Text("many")]).unwrap();
    assert!(!sent.contains("orders"), "{sent}");
    assert_eq!(mapper.warnings()[0].field, "properties.orders");
    assert_eq!(mapper.warnings()[0].reason, WarningReason::TypeMismatch);
}
