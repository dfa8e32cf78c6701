//! Clients, services and messages of released versions go on working with today's contract.
//!
//! The same rules as `buf breaking`, for those that matter to who is on the wire, without a tool that is not Rust.
#![expect(clippy::expect_used, reason = "in the helpers of tests a panic is the failure")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

/// What is on the wire, by its full name.
type Contract = BTreeMap<String, String>;

fn contract(set: &FileDescriptorSet) -> Contract {
    let mut contract = Contract::new();
    for file in &set.file {
        let package = file.package();
        for message in &file.message_type {
            note_message(&mut contract, package, message);
        }
        for values in &file.enum_type {
            note_enum(&mut contract, package, values);
        }
        for service in &file.service {
            for method in &service.method {
                let name = format!("{package}.{}/{}", service.name(), method.name());
                let streams = (method.client_streaming(), method.server_streaming());
                let types = format!("{} {} {streams:?}", method.input_type(), method.output_type());
                contract.insert(name, types);
            }
        }
    }
    contract
}

fn note_message(contract: &mut Contract, within: &str, message: &DescriptorProto) {
    let name = format!("{within}.{}", message.name());
    for field in &message.field {
        let oneof =
            field.oneof_index.and_then(|at| message.oneof_decl.get(usize::try_from(at).ok()?));
        let oneof = oneof.map(|it| it.name().to_owned());
        let is = format!(
            "{} {:?} {:?} {} {oneof:?}",
            field.name(),
            field.label(),
            field.r#type(),
            field.type_name(),
        );
        contract.insert(format!("{name} field {}", field.number()), is);
    }
    for nested in &message.nested_type {
        note_message(contract, &name, nested);
    }
    for values in &message.enum_type {
        note_enum(contract, &name, values);
    }
}

fn note_enum(contract: &mut Contract, within: &str, values: &EnumDescriptorProto) {
    for value in &values.value {
        let name = format!("{within}.{} value {}", values.name(), value.number());
        contract.insert(name, value.name().to_owned());
    }
}

/// What of `old` is gone or means something else.
fn broken(old: &Contract, new: &Contract) -> Vec<String> {
    let same = |name: &String, is: &String| new.get(name) == Some(is);
    let gone = old.iter().filter(|(name, is)| !same(name, is));
    gone.map(|(name, is)| format!("{name}: {is} -> {:?}", new.get(name))).collect()
}

fn today() -> FileDescriptorSet {
    let mut set = FileDescriptorSet::decode(segue_proto::DESCRIPTORS).expect("descriptors");
    for file in &mut set.file {
        file.source_code_info = None; // comments are no part of the contract
    }
    set
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus")
}

#[test]
fn contract_of_every_released_version_still_holds() {
    let own = corpus().join(concat!("v", env!("CARGO_PKG_VERSION"))).join("segue.binpb");
    if std::env::var_os("SEGUE_TEST_WRITE_CORPUS").is_some() {
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        fs::write(&own, today().encode_to_vec()).unwrap();
    }
    assert!(own.is_file(), "{} is missing", own.display());
    let new = contract(&today());
    for version in fs::read_dir(corpus()).unwrap() {
        let file = version.unwrap().path().join("segue.binpb");
        let Ok(bytes) = fs::read(&file) else { continue };
        let old = contract(&FileDescriptorSet::decode(&*bytes).unwrap());
        assert!(old.len() > 100, "{} holds next to nothing", file.display());
        assert_eq!(broken(&old, &new), Vec::<String>::new(), "{}", file.display());
    }
}

/// The message `Job`.
fn job(set: &mut FileDescriptorSet) -> &mut DescriptorProto {
    let messages = set.file.iter_mut().flat_map(|file| &mut file.message_type);
    messages.into_iter().find(|message| message.name() == "Job").expect("Job")
}

#[test]
fn what_breaks_a_contract_is_seen() {
    let old = contract(&today());
    let broken_by = |edit: &dyn Fn(&mut FileDescriptorSet)| {
        let mut set = today();
        edit(&mut set);
        broken(&old, &contract(&set))
    };
    let renumbered = broken_by(&|set| {
        job(set).field[1].number = Some(99);
    });
    assert_eq!(renumbered.len(), 1, "{renumbered:?}");
    let method_gone = broken_by(&|set| {
        for file in &mut set.file {
            for service in &mut file.service {
                service.method.retain(|method| method.name() != "WatchRun");
            }
        }
    });
    assert_eq!(method_gone.len(), 1, "{method_gone:?}");
    let added = broken_by(&|set| {
        let job = job(set);
        let mut field = job.field[1].clone();
        (field.name, field.number) = (Some("later".to_owned()), Some(99));
        job.field.push(field);
    });
    assert_eq!(added, Vec::<String>::new());
}
