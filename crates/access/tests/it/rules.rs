//! Each RPC that a service offers has a rule, and each rule has its RPC.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use segue_access::rules::RULES;

fn methods_of(descriptors: &[u8]) -> BTreeSet<String> {
    let files = FileDescriptorSet::decode(descriptors).unwrap().file;
    let mut methods = BTreeSet::new();
    for file in files {
        for service in &file.service {
            let service_name = format!("{}.{}", file.package(), service.name());
            let names = service.method.iter().map(|it| format!("{service_name}/{}", it.name()));
            methods.extend(names);
        }
    }
    assert!(!methods.is_empty());
    methods
}

#[test]
fn each_rpc_has_one_rule_and_each_rule_its_rpc() {
    let offered: BTreeSet<_> = [
        segue_proto::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ]
    .into_iter()
    .flat_map(methods_of)
    .collect();
    let ruled: BTreeSet<_> = RULES.iter().map(|(method, _)| (*method).to_owned()).collect();
    let without_rule: Vec<_> = offered.difference(&ruled).collect();
    assert!(without_rule.is_empty(), "say in rules.rs who may call {without_rule:?}");
    let without_rpc: Vec<_> = ruled.difference(&offered).collect();
    assert!(without_rpc.is_empty(), "nothing offers {without_rpc:?}");
    assert_eq!(ruled.len(), RULES.len(), "a method has two rules");
}
