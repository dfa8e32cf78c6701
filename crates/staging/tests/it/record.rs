use std::io::{self, BufReader, Read};

use proptest::prelude::*;
use segue_model::{Pii, RejectReason, WarningReason};
use segue_staging::{InvalidRecord, Record, RejectRecord, WarningRecord, Writer, read};

fn record<R: std::fmt::Debug + Copy + 'static>(
    reasons: &'static [R],
) -> impl Strategy<Value = Record<R>> {
    let fields = (any::<u32>(), any::<u64>(), any::<String>(), any::<String>(), any::<String>());
    (fields, proptest::sample::select(reasons)).prop_map(
        |((object, row, identifier, field, detail), reason)| Record {
            object,
            row,
            identifier: Pii::new(identifier),
            field,
            reason,
            detail,
        },
    )
}

fn rejects(count: u64) -> (Vec<RejectRecord>, Vec<u8>) {
    let record = |row| RejectRecord {
        object: 0,
        row,
        identifier: Pii::new("ann@example".to_owned()),
        field: "email".to_owned(),
        reason: RejectReason::EmailInvalid,
        detail: "no dot after the @ in \"ann@example\"\n".to_owned(),
    };
    let records: Vec<_> = (0..count).map(record).collect();
    let mut writer = Writer::new();
    for record in &records {
        writer.push(record);
    }
    assert_eq!(writer.records(), count);
    (records, writer.finish())
}

proptest! {
    #[test]
    fn records_read_back_as_they_were_written(
        records in proptest::collection::vec(record(WarningReason::ALL), 0..20),
    ) {
        let mut writer = Writer::new();
        for record in &records {
            writer.push(record);
        }
        let bytes = writer.finish();
        prop_assert_eq!(bytes.split_inclusive(|&byte| byte == b'\n').count(), records.len());
        let back: Vec<WarningRecord> = read(&bytes[..]).collect::<Result<_, _>>()?;
        prop_assert!(back == records);
    }

    #[test]
    fn arbitrary_bytes_give_errors_and_never_a_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(read::<RejectReason>(&bytes[..]).all(|record| record.is_err()));
    }
}

#[test]
fn broken_line_is_told_by_its_number_and_the_others_are_read() {
    let (records, mut bytes) = rejects(3);
    let second = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    bytes[second] = b'[';
    let read: Vec<_> = read::<RejectReason>(&bytes[..]).collect();
    assert!(matches!(&read[0], Ok(record) if *record == records[0]));
    assert!(matches!(read[1], Err(InvalidRecord::Line { line: 2 })));
    assert!(matches!(&read[2], Ok(record) if *record == records[2]));
    assert_eq!(read.len(), 3);
}

#[test]
fn reader_that_fails_ends_the_report_with_its_error() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let (_, bytes) = rejects(2);
    let read: Vec<_> = read::<RejectReason>(BufReader::new(bytes.chain(Failing))).collect();
    assert!(matches!(read[..], [Ok(_), Ok(_), Err(InvalidRecord::Io(_))]));
}

#[test]
fn neither_debug_output_nor_an_error_holds_personal_data() {
    let (records, bytes) = rejects(1);
    assert!(!format!("{:?}", records[0]).contains("ann"));
    let unknown = String::from_utf8(bytes).unwrap().replace("email_invalid", "ann@example");
    let err = read::<RejectReason>(unknown.as_bytes()).next().unwrap().unwrap_err();
    assert!(!format!("{err} {err:?}").contains("ann"));
}
