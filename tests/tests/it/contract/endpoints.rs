//! The simulator's table of endpoints against the file.

use klaviyo_sim::Endpoint;
use serde_json::Value;

use super::{Contract, Operation};

fn operation(contract: &Contract, endpoint: Endpoint) -> Operation<'_> {
    // The file names the id in a path differently from one path to the next.
    let shape = |path: &str| {
        let part =
            |part: &str| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() };
        path.split('/').map(part).collect::<Vec<_>>()
    };
    let wanted = shape(endpoint.path());
    contract
        .find(&endpoint.method(), |path| shape(path) == wanted)
        .unwrap_or_else(|| panic!("{endpoint} is not documented"))
}

#[test]
fn every_endpoint_has_the_documented_scopes() {
    let Some(contract) = Contract::load() else { return };
    for endpoint in Endpoint::ALL {
        let operation = operation(&contract, *endpoint);
        let documented = operation.value["x-klaviyo-scopes"].as_array().unwrap();
        let mut documented: Vec<&str> = documented.iter().filter_map(Value::as_str).collect();
        let mut ours = endpoint.scopes().to_vec();
        documented.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, documented, "{}", operation.path);
    }
}

#[test]
fn every_endpoint_has_the_documented_limits() {
    let Some(contract) = Contract::load() else { return };
    for endpoint in Endpoint::ALL {
        let operation = operation(&contract, *endpoint);
        let text = operation.value["description"].as_str().unwrap();
        let tier = endpoint.tier();
        let limits = (limit(text, "Burst: `", "/s`"), limit(text, "Steady: `", "/m`"));
        assert_eq!(limits, (tier.burst(), tier.steady()), "{}", operation.path);
    }
}

/// The first number between `before` and `after`: the endpoint's own, stricter ones come later.
fn limit(text: &str, before: &str, after: &str) -> u32 {
    let (_, rest) = text.split_once(before).unwrap();
    rest.split_once(after).unwrap().0.parse().unwrap()
}
