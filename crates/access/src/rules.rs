//! The role that each RPC needs, in one table. What is not in it, nobody may call.

use crate::{Denied, Role};

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Whoever has this role or one above it.
    Role(Role),
    /// Whoever has the token of the workers. No role is enough: a claim returns an API key.
    Worker,
    /// Everybody, without a token.
    Public,
}

const VIEWER: Rule = Rule::Role(Role::Viewer);
const CONTRIBUTOR: Rule = Rule::Role(Role::Contributor);
const ADMINISTRATOR: Rule = Rule::Role(Role::Administrator);

/// Every method by its full name, `<package>.<Service>/<Method>`, and its rule.
pub const RULES: &[(&str, Rule)] = &[
    // A connection is a key to a Klaviyo account, so who uses one does not make one.
    ("segue.v1.ConnectionService/CreateConnection", ADMINISTRATOR),
    ("segue.v1.ConnectionService/VerifyConnection", ADMINISTRATOR),
    ("segue.v1.ConnectionService/UpdateConnection", ADMINISTRATOR),
    ("segue.v1.ConnectionService/DeleteConnection", ADMINISTRATOR),
    ("segue.v1.ConnectionService/RotateKeys", ADMINISTRATOR),
    // An export names its connection, so who makes one has to see those that are shared, and no more of them.
    ("segue.v1.ConnectionService/GetConnection", CONTRIBUTOR),
    ("segue.v1.ConnectionService/ListConnections", CONTRIBUTOR),
    // An export names its list, so who makes one picks it or makes it.
    ("segue.v1.ListService/ListLists", CONTRIBUTOR),
    ("segue.v1.ListService/GetList", CONTRIBUTOR),
    ("segue.v1.ListService/CreateList", CONTRIBUTOR),
    // An export names its source: whoever sees the one sees the other.
    ("segue.v1.SourceService/GetSource", VIEWER),
    ("segue.v1.SourceService/ListSources", VIEWER),
    // It says what exports of others read.
    ("segue.v1.SourceService/CreateSource", ADMINISTRATOR),
    ("segue.v1.SourceService/UpdateSource", ADMINISTRATOR),
    ("segue.v1.SourceService/DeleteSource", ADMINISTRATOR),
    // An export names its segments. What columns there are says what is known of people.
    ("segue.v1.SourceService/ListSegments", CONTRIBUTOR),
    ("segue.v1.SourceService/DescribeSegment", CONTRIBUTOR),
    ("segue.v1.ExportService/GetExport", VIEWER),
    ("segue.v1.ExportService/ListExports", VIEWER),
    ("segue.v1.ExportService/CreateExport", CONTRIBUTOR),
    ("segue.v1.ExportService/UpdateExport", CONTRIBUTOR),
    ("segue.v1.ExportService/DeleteExport", CONTRIBUTOR),
    ("segue.v1.ExportService/DuplicateExport", CONTRIBUTOR),
    ("segue.v1.ExportService/SettleColumns", CONTRIBUTOR),
    ("segue.v1.ExportService/PreviewExport", CONTRIBUTOR),
    ("segue.v1.RunService/StartRun", CONTRIBUTOR),
    ("segue.v1.RunService/StartAllRuns", CONTRIBUTOR),
    ("segue.v1.RunService/CancelRun", CONTRIBUTOR),
    ("segue.v1.RunService/RetryRun", CONTRIBUTOR),
    ("segue.v1.ScheduleService/GetSystemSchedule", VIEWER),
    ("segue.v1.ScheduleService/PreviewSchedule", VIEWER),
    // Like an update of each of these exports.
    ("segue.v1.ScheduleService/ScheduleExports", CONTRIBUTOR),
    // Concerns the exports of everybody.
    ("segue.v1.ScheduleService/SetSystemSchedule", ADMINISTRATOR),
    ("segue.v1.StatusService/GetRun", VIEWER),
    ("segue.v1.StatusService/ListRuns", VIEWER),
    ("segue.v1.StatusService/WatchRun", VIEWER),
    // Personal data.
    ("segue.v1.StatusService/ListRejects", CONTRIBUTOR),
    // Why a run makes no progress, and nothing about people or keys.
    ("segue.v1.JobService/ListDeadJobs", VIEWER),
    ("segue.v1.JobService/RequeueDeadJob", ADMINISTRATOR),
    ("segue.v1.JobService/DropDeadJob", ADMINISTRATOR),
    // Whoever makes tokens decides who may do what.
    ("segue.v1.TokenService/CreateToken", ADMINISTRATOR),
    ("segue.v1.TokenService/ListTokens", ADMINISTRATOR),
    ("segue.v1.TokenService/RevokeToken", ADMINISTRATOR),
    // It tells who did what.
    ("segue.v1.AuditService/ListAuditEntries", ADMINISTRATOR),
    ("segue.v1.AuditService/VerifyAudit", ADMINISTRATOR),
    // Only about whoever asks.
    ("segue.v1.TokenService/GetCaller", VIEWER),
    ("segue.v1.WorkerService/Claim", Rule::Worker),
    ("segue.v1.WorkerService/Renew", Rule::Worker),
    ("segue.v1.WorkerService/Plan", Rule::Worker),
    ("segue.v1.WorkerService/Stage", Rule::Worker),
    ("segue.v1.WorkerService/Permit", Rule::Worker),
    ("segue.v1.WorkerService/Answer", Rule::Worker),
    ("segue.v1.WorkerService/Confirm", Rule::Worker),
    ("segue.v1.WorkerService/Finish", Rule::Worker),
    ("segue.v1.WorkerService/Sweep", Rule::Worker),
    // Whoever asks for health has no token, and the contract is public.
    ("grpc.health.v1.Health/Check", Rule::Public),
    ("grpc.health.v1.Health/Watch", Rule::Public),
    ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Rule::Public),
    ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Rule::Public),
];

/// The rule of a method, by its full name or by the path of the request, which has a slash in front.
/// [`Denied::NoRule`] if it has none: an RPC that was forgotten here is closed, and not open.
pub fn rule_of(method: &str) -> Result<Rule, Denied> {
    let name = method.strip_prefix('/').unwrap_or(method);
    let found = RULES.iter().find(|(known, _)| *known == name);
    found.map(|(_, rule)| *rule).ok_or(Denied::NoRule)
}

#[cfg(test)]
mod tests {
    use super::{RULES, Rule, rule_of};
    use crate::{Class, Denied, Role};

    #[test]
    fn a_method_is_found_by_name_and_by_path() {
        for (method, rule) in RULES {
            assert_eq!(rule_of(method).unwrap(), *rule);
            assert_eq!(rule_of(&format!("/{method}")).unwrap(), *rule);
        }
    }

    #[test]
    fn an_unknown_method_is_denied() {
        for method in [
            "",
            "/",
            "segue.v1.RunService",
            "segue.v1.RunService/",
            "segue.v1.RunService/startrun",
            "segue.v1.RunService/StartRun/",
            "//segue.v1.RunService/StartRun",
            "segue.v2.RunService/StartRun",
            "grpc.health.v1.Health/List",
        ] {
            let denied = rule_of(method).unwrap_err();
            assert!(matches!(denied, Denied::NoRule) && denied.class() == Class::Forbidden);
        }
    }

    /// The table says it too, but a slip there would be one word.
    #[test]
    fn viewers_only_read_and_nothing_of_keys_tokens_or_people() {
        let open_to_viewers = |method: &str| match rule_of(method).unwrap() {
            Rule::Role(role) => role == Role::Viewer,
            Rule::Worker => false,
            Rule::Public => true,
        };
        for (method, _) in RULES.iter().filter(|(method, _)| method.starts_with("segue.")) {
            let (_, verb) = method.split_once('/').unwrap();
            let reads = ["Get", "List", "Watch", "Preview"].iter().any(|it| verb.starts_with(it));
            let shows_more = ["Connection", "Audit", "ListService"]
                .iter()
                .any(|it| method.contains(it))
                || ["ListRejects", "ListTokens", "ListSegments", "PreviewExport"].contains(&verb);
            assert_eq!(open_to_viewers(method), reads && !shows_more, "{method}");
        }
    }
}
