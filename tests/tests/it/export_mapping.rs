//! Which column goes where, and as what.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::{Ended, Export, Sim};

/// Exports this CSV, everything of it.
fn exported(sim: &Sim, csv: &str, args: &[&str]) -> Ended {
    Export::to(sim).content("people.csv", csv).args(args).run()
}

/// The attributes of a profile that are not null.
#[track_caller]
fn profile(sim: &Sim, email: &str) -> Value {
    let Some(profile) = sim.profile(email) else { panic!("{email} is not in Klaviyo") };
    profile["attributes"].clone()
}

#[track_caller]
fn refused(csv: &str, args: &[&str], words: &[&str]) {
    let sim = Sim::free();
    exported(&sim, csv, args).expect_code(1).expect_words(words);
    assert_eq!(sim.writes(), []);
}

#[test]
fn columns_in_five_languages_go_to_the_standard_attributes() {
    for header in [
        "E-Mail Address;First Name;LAST_NAME;City;Postal Code;Country;Job Title;Company",
        "E-Mail-Adresse;Vorname;Nachname;Stadt;PLZ;Land;Berufsbezeichnung;Firma",
        "Adresse électronique;Prénom;Nom de famille;Ville;Code postal;Pays;Fonction;Société",
        "Correo electrónico;Nombre;Apellidos;Ciudad;Código postal;País;Puesto;Empresa",
        "Электронная почта;Имя;Фамилия;Город;zip;Страна;Должность;Компания",
    ] {
        let sim = Sim::free();
        let row = "ann@example.com;Ann;Müller;Wien;01010;AT;Цветочница;Blumen & Co";
        exported(&sim, &format!("{header}\n{row}\n"), &[]).expect_code(0);
        let profile = profile(&sim, "ann@example.com");
        for (attribute, value) in [
            ("/first_name", "Ann"),
            ("/last_name", "Müller"),
            ("/location/city", "Wien"),
            ("/location/zip", "01010"),
            ("/location/country", "AT"),
            ("/title", "Цветочница"),
            ("/organization", "Blumen & Co"),
        ] {
            assert_eq!(profile.pointer(attribute), Some(&json!(value)), "{header}: {attribute}");
        }
        assert_eq!(profile["properties"], json!({}), "{header}");
    }
}

#[test]
fn only_a_column_named_external_id_goes_to_external_id() {
    let sim = Sim::free();
    let csv = "email,External ID,id,customer_id\nann@example.com,x-1,7,c-9\n";
    exported(&sim, csv, &[]).expect_code(0);
    let profile = profile(&sim, "ann@example.com");
    assert_eq!(profile["external_id"], "x-1");
    assert_eq!(profile["properties"], json!({"id": 7, "customer_id": "c-9"}));
}

#[test]
fn two_columns_for_one_attribute_are_an_error_that_names_both() {
    let csv = "email,Phone,Mobile\nann@example.com,,\n";
    refused(csv, &[], &["\"Phone\"", "\"Mobile\"", "phone_number"]);
}

#[test]
fn header_without_an_email_column_is_an_error_that_lists_the_columns() {
    let words = ["no column holds the email address", "--email", "customer, name, score"];
    refused("customer,name,score\n1,Ann,2\n", &[], &words);
}

#[test]
fn file_without_a_header_is_an_error_that_shows_nobody() {
    let sim = Sim::free();
    let ended = exported(&sim, "ann@example.com,Ann\nbob@example.com,Bob\n", &[]);
    let ended = ended.expect_code(1).expect_words(&["no header"]);
    assert!(!ended.says("ann@example.com"), "{ended}");
}

#[test]
fn email_option_decides_between_two_columns_of_addresses() {
    let csv = "Email,Correo\nprivate@example.com,work@example.org\n";
    refused(csv, &[], &["\"Email\"", "\"Correo\""]);
    let sim = Sim::free();
    exported(&sim, csv, &["--email", "Correo"]).expect_code(0);
    let profile = profile(&sim, "work@example.org");
    assert_eq!(profile["properties"], json!({"Email": "private@example.com"}));
    refused(csv, &["--email", "mail"], &["no column \"mail\"", "Email, Correo"]);
}

#[test]
fn map_goes_before_what_a_column_is_called() {
    let sim = Sim::free();
    let csv = "email,city,town,loyalty,plan\nann@example.com,Graz,Wien,gold,12\n";
    let map = ["--map", "location.city=town", "--map", "properties.tier=loyalty"];
    let typed = ["--map", "properties.plan_code:text=plan"];
    exported(&sim, csv, &[&map[..], &typed[..]].concat()).expect_code(0);
    let profile = profile(&sim, "ann@example.com");
    assert_eq!(profile["location"]["city"], "Wien");
    assert_eq!(profile["properties"], json!({"city": "Graz", "tier": "gold", "plan_code": "12"}));
}

#[test]
fn properties_are_all_or_none_or_those_that_are_named() {
    let csv = "email,first_name,a,b,c\nann@example.com,Ann,1,2,3\n";
    for (args, sent) in [
        (&[][..], json!({"a": 1, "b": 2, "c": 3})),
        (&["--properties", "all"], json!({"a": 1, "b": 2, "c": 3})),
        (&["--properties", "none"], json!({})),
        (&["--properties", "c,a"], json!({"a": 1, "c": 3})),
    ] {
        let sim = Sim::free();
        exported(&sim, csv, args).expect_code(0);
        let profile = profile(&sim, "ann@example.com");
        assert_eq!(profile["properties"], sent, "{args:?}");
        assert_eq!(profile["first_name"], "Ann", "{args:?}");
    }
    refused(csv, &["--properties", "a,d"], &["no column \"d\"", "email, first_name, a, b, c"]);
}

#[test]
fn column_that_begins_with_a_dollar_sign_is_not_sent_and_the_screen_says_so() {
    let sim = Sim::free();
    let csv = "email,$consent,tier\nann@example.com,yes,gold\n";
    exported(&sim, csv, &[]).expect_code(0).expect_words(&["\"$consent\"", "reserved_name"]);
    let profile = profile(&sim, "ann@example.com");
    assert_eq!(profile["properties"], json!({"tier": "gold"}));
}

#[test]
fn column_has_the_type_that_all_its_cells_fit() {
    let sim = Sim::free();
    let csv = "email,number,zero,big,boolean,date,mixed\n\
               ann@example.com,1.50,007,9007199254740993,TRUE,2026-01-31,1\n\
               bob@example.com,-3,8,1,false,2026-02-01T10:00:00Z,one\n\
               cyd@example.com,,,,,,\n";
    exported(&sim, csv, &[]).expect_code(0);
    let of = |email| profile(&sim, email)["properties"].clone();
    assert_eq!(
        of("ann@example.com"),
        json!({
            "number": 1.50, "zero": "007", "big": "9007199254740993", "boolean": true,
            "date": "2026-01-31", "mixed": "1",
        })
    );
    assert_eq!(
        of("bob@example.com"),
        json!({
            "number": -3, "zero": "8", "big": "1", "boolean": false,
            "date": "2026-02-01T10:00:00Z", "mixed": "one",
        })
    );
    assert_eq!(of("cyd@example.com"), json!({}));
}

#[test]
fn late_cell_that_does_not_fit_its_column_is_left_out_with_a_warning() {
    let sim = Sim::free();
    let mut csv = String::from("email,orders\n");
    for n in 0..10_000 {
        writeln!(csv, "person{n}@example.com,{n}").unwrap();
    }
    csv.push_str("late@example.com,many\n");
    let ended = exported(&sim, &csv, &[]).expect_code(0);
    assert_eq!(profile(&sim, "late@example.com")["properties"], json!({}));
    assert_eq!(profile(&sim, "person7@example.com")["properties"], json!({"orders": 7}));
    let warnings = ended.warnings();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!((warning.row, warning.field.as_str()), (10_002, "properties.orders"));
    assert_eq!((warning.reason.as_str(), ended.report().warnings), ("type_mismatch", 1));
}

#[test]
fn national_phone_number_is_left_out_unless_a_default_country_is_given() {
    let csv = "email,phone\nann@example.com,(202) 555-0123\nbob@example.com,+44 7700 900123\n";
    let sim = Sim::free();
    let ended = exported(&sim, csv, &[]).expect_code(0);
    assert_eq!(profile(&sim, "ann@example.com")["phone_number"], Value::Null);
    assert_eq!(profile(&sim, "bob@example.com")["phone_number"], "+447700900123");
    let warnings = ended.warnings();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!((warning.row, warning.reason.as_str()), (2, "phone_not_international"));
    assert_eq!(warning.identifier, "ann@example.com");

    let sim = Sim::free();
    let ended = exported(&sim, csv, &["--default-country", "US"]).expect_code(0);
    assert_eq!(profile(&sim, "ann@example.com")["phone_number"], "+12025550123");
    assert_eq!(profile(&sim, "bob@example.com")["phone_number"], "+447700900123");
    assert!(ended.warnings().is_empty());
}

#[test]
fn empty_cell_does_not_clear_what_klaviyo_knows() {
    let sim = Sim::free();
    exported(&sim, "email,first_name,tier\nann@example.com,Ann,gold\n", &[]).expect_code(0);
    exported(&sim, "email,first_name,tier\nann@example.com,,\n", &[]).expect_code(0);
    let profile = profile(&sim, "ann@example.com");
    assert_eq!(
        (&profile["first_name"], &profile["properties"]["tier"]),
        (&json!("Ann"), &json!("gold"))
    );
}

#[test]
fn address_is_sent_as_its_identity_trimmed_and_folded() {
    let sim = Sim::free();
    let csv = "email\n\"  O'Brien+X@exämple.example.com \"\n";
    exported(&sim, csv, &[]).expect_code(0);
    assert_eq!(sim.members("LIST01"), ["o'brien+x@xn--exmple-cua.example.com"]);
}

#[test]
fn mapping_is_shown_with_the_types_and_what_is_not_sent() {
    let sim = Sim::free();
    let csv = "email,orders,note\nann@example.com,3,hello\n";
    let ended = exported(&sim, csv, &["--properties", "orders"]).expect_code(0);
    let ended = ended.expect_words(&["← orders (number)", "not sent note"]);
    assert!(!ended.says("← note"), "{ended}");
}
