use std::fmt;

use http::Method;
use serde::{Deserialize, Serialize};

/// How many requests an endpoint takes from one account.
///
/// Source: "Rate limits, status codes, and errors" on developers.klaviyo.com.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// 1/s, 15/m
    Xs,
    /// 3/s, 60/m
    S,
    /// 10/s, 150/m
    M,
    /// 75/s, 750/m
    L,
}

impl Tier {
    /// Requests in a second.
    pub fn burst(self) -> u32 {
        match self {
            Self::Xs => 1,
            Self::S => 3,
            Self::M => 10,
            Self::L => 75,
        }
    }

    /// Requests in a minute.
    pub fn steady(self) -> u32 {
        match self {
            Self::Xs => 15,
            Self::S => 60,
            Self::M => 150,
            Self::L => 750,
        }
    }
}

macro_rules! endpoints {
    ($($variant:ident $name:literal $method:ident $path:literal $tier:ident [$($scope:literal)*])*) => {
        /// What can be asked of the simulator. A rate limit belongs to one endpoint of one account.
        ///
        /// Paths, scopes and tiers: Klaviyo's OpenAPI file, revision 2026-07-15.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Endpoint {
            $(#[doc = concat!("`", stringify!($method), " ", $path, "`")]
              #[serde(rename = $name)]
              $variant,)*
        }

        impl Endpoint {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that `/__state` and `/__faults` use, for example `import`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The method it answers to.
            pub fn method(self) -> Method {
                match self { $(Self::$variant => Method::$method,)* }
            }

            /// The path, with `{…}` where an id goes.
            pub fn path(self) -> &'static str {
                match self { $(Self::$variant => $path,)* }
            }

            /// The rate limit when no stricter one applies.
            pub fn tier(self) -> Tier {
                match self { $(Self::$variant => Tier::$tier,)* }
            }

            /// The scopes a key needs; all of them.
            pub fn scopes(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($scope,)*],)* }
            }
        }
    };
}

endpoints! {
    Accounts "accounts" GET "/api/accounts" Xs ["accounts:read"]
    Account "account" GET "/api/accounts/{id}" Xs ["accounts:read"]
    Lists "lists" GET "/api/lists" L ["lists:read"]
    CreateList "create_list" POST "/api/lists" M ["lists:write"]
    List "list" GET "/api/lists/{id}" L ["lists:read"]
    UpdateList "update_list" PATCH "/api/lists/{id}" M ["lists:write"]
    DeleteList "delete_list" DELETE "/api/lists/{id}" M ["lists:write"]
    FlowTriggers "flow_triggers" GET "/api/lists/{id}/flow-triggers" S ["flows:read" "lists:read"]
    Members "members" GET "/api/lists/{id}/profiles" L ["lists:read" "profiles:read"]
    MemberIds "member_ids" GET "/api/lists/{id}/relationships/profiles" L ["lists:read" "profiles:read"]
    AddMembers "add_members" POST "/api/lists/{id}/relationships/profiles" M ["lists:write" "profiles:write"]
    RemoveMembers "remove_members" DELETE "/api/lists/{id}/relationships/profiles" M ["lists:write" "profiles:write"]
    Profiles "profiles" GET "/api/profiles" L ["profiles:read"]
    CreateProfile "create_profile" POST "/api/profiles" L ["profiles:write"]
    Profile "profile" GET "/api/profiles/{id}" L ["profiles:read"]
    UpdateProfile "update_profile" PATCH "/api/profiles/{id}" L ["profiles:write"]
    UpsertProfile "upsert_profile" POST "/api/profile-import" L ["profiles:write"]
    Import "import" POST "/api/profile-bulk-import-jobs" M ["lists:write" "profiles:write"]
    ImportJobs "import_jobs" GET "/api/profile-bulk-import-jobs" M ["lists:read" "profiles:read"]
    ImportJob "import_job" GET "/api/profile-bulk-import-jobs/{id}" M ["lists:read" "profiles:read"]
    ImportErrors "import_errors" GET "/api/profile-bulk-import-jobs/{id}/import-errors" M ["profiles:read"]
    ImportProfiles "import_profiles" GET "/api/profile-bulk-import-jobs/{id}/profiles" M ["profiles:read"]
    ImportProfileIds "import_profile_ids" GET "/api/profile-bulk-import-jobs/{id}/relationships/profiles" M ["profiles:read"]
    ImportLists "import_lists" GET "/api/profile-bulk-import-jobs/{id}/lists" M ["lists:read"]
    ImportListIds "import_list_ids" GET "/api/profile-bulk-import-jobs/{id}/relationships/lists" M ["lists:read"]
    Subscribe "subscribe" POST "/api/profile-subscription-bulk-create-jobs" L ["lists:write" "profiles:write" "subscriptions:write"]
    Unsubscribe "unsubscribe" POST "/api/profile-subscription-bulk-delete-jobs" L ["lists:write" "profiles:write" "subscriptions:write"]
    Suppress "suppress" POST "/api/profile-suppression-bulk-create-jobs" L ["profiles:write" "subscriptions:write"]
    Unsuppress "unsuppress" POST "/api/profile-suppression-bulk-delete-jobs" L ["subscriptions:write"]
    ErasePerson "erase_person" POST "/api/data-privacy-deletion-jobs" S ["data-privacy:write"]
    MergeProfiles "merge_profiles" POST "/api/profile-merge" M ["profiles:write"]
}

impl Endpoint {
    /// Changes consent, suppression or the existence of a person. The simulator answers these
    /// plausibly, changes nothing, and records that they were called: an exporter must not.
    pub fn changes_consent(self) -> bool {
        matches!(
            self,
            Self::Subscribe
                | Self::Unsubscribe
                | Self::Suppress
                | Self::Unsuppress
                | Self::ErasePerson
                | Self::MergeProfiles
        )
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The endpoint and the id in its path; empty when the path has none.
    To(Endpoint, String),
    /// The path exists, the method does not.
    WrongMethod,
    Nowhere,
}

/// A trailing slash is allowed, as it is at Klaviyo: a job path with an empty id is the collection.
pub(crate) fn route(method: &Method, path: &str) -> Route {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut wrong_method = false;
    for endpoint in Endpoint::ALL {
        let Some(id) = match_path(endpoint.path(), path) else { continue };
        if endpoint.method() == *method {
            return Route::To(*endpoint, id);
        }
        wrong_method = true;
    }
    if wrong_method { Route::WrongMethod } else { Route::Nowhere }
}

fn match_path(pattern: &str, path: &str) -> Option<String> {
    let Some((before, after)) = pattern.split_once("{id}") else {
        return (pattern == path).then(String::new);
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    if id.is_empty() || id.contains('/') {
        return None;
    }
    Some(crate::query::percent_decode(id))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Endpoint, Route, route};

    #[test]
    fn every_endpoint_is_reached_by_its_own_method_and_path() {
        for endpoint in Endpoint::ALL {
            let path = endpoint.path().replace("{id}", "X1");
            let Route::To(found, id) = route(&endpoint.method(), &path) else {
                panic!("{endpoint} is not reached")
            };
            assert_eq!((found, id.is_empty()), (*endpoint, !endpoint.path().contains("{id}")));
        }
    }

    #[test]
    fn empty_job_id_is_the_collection() {
        let to = route(&Method::GET, "/api/profile-bulk-import-jobs/");
        assert_eq!(to, Route::To(Endpoint::ImportJobs, String::new()));
    }

    #[test]
    fn known_path_with_another_method_is_told_apart_from_no_path() {
        assert_eq!(route(&Method::DELETE, "/api/accounts"), Route::WrongMethod);
        assert_eq!(route(&Method::GET, "/api/nothing"), Route::Nowhere);
    }
}
