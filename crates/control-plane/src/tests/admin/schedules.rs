//! Exports that run by themselves, with a clock that the test moves. It begins on Monday, 2026-09-21, 14:13:20 UTC.

use std::time::Duration;

use prost_types::{FieldMask, Timestamp};
use segue_model::Micros;
use segue_proto::v1::{
    self, Trigger, export_schedule::Mode, schedule::Recurrence,
    schedule_service_client::ScheduleServiceClient,
};
use segue_store::{read, test_util::Engine, write::exports};
use tonic::{Code, Status, transport::Channel};

use super::{World, export, fields, missing};
use crate::Refusal;

segue_store::on_both_engines! {
    export_runs_when_the_schedule_of_the_system_says_so,
    export_with_a_schedule_of_its_own_ignores_that_of_the_system,
    what_was_missed_is_made_up_for_by_one_run,
    export_that_is_due_waits_once_for_the_run_under_way,
    refusal_is_told_and_the_next_time_tries_again,
    two_instances_start_one_run,
    export_that_cannot_be_read_does_not_keep_others_from_running,
    refusal_of_an_earlier_time_leaves_what_waits_now,
}

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// In UTC.
fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn daily(at: &[&str]) -> v1::Schedule {
    let at = at.iter().map(|time| (*time).to_owned()).collect();
    let recurrence = Some(Recurrence::Daily(v1::Daily { at }));
    v1::Schedule { recurrence, time_zone: "UTC".to_owned() }
}

fn own(schedule: v1::Schedule) -> v1::ExportSchedule {
    v1::ExportSchedule { mode: Mode::Own.into(), own: Some(schedule) }
}

pub(super) fn hourly() -> v1::ExportSchedule {
    let recurrence = Some(Recurrence::Cron("0 * * * *".to_owned()));
    own(v1::Schedule { recurrence, time_zone: "UTC".to_owned() })
}

fn plain(mode: Mode) -> v1::ExportSchedule {
    v1::ExportSchedule { mode: mode.into(), own: None }
}

impl World {
    fn schedules(&self) -> ScheduleServiceClient<Channel> {
        ScheduleServiceClient::new(self.channel.clone())
    }

    async fn set_system(&self, schedule: Option<v1::Schedule>) -> Result<(), Status> {
        let request = v1::SetSystemScheduleRequest { schedule };
        self.schedules().set_system_schedule(request).await.map(|_| ())
    }

    pub(super) async fn scheduled(
        &self,
        connection: &str,
        schedule: v1::ExportSchedule,
    ) -> v1::Export {
        let export = v1::Export { schedule: Some(schedule), ..export(connection) };
        self.create_export(export, "").await.unwrap()
    }

    pub(super) async fn shown(&self, id: &str) -> v1::Export {
        let request = v1::GetExportRequest { id: id.to_owned() };
        self.exports().get_export(request).await.unwrap().into_inner().export.unwrap()
    }

    /// All runs, oldest first, after the schedules were looked at.
    pub(super) async fn swept(&self) -> Vec<v1::Run> {
        self.cp.sweep_schedules().await.unwrap();
        let query = read::RunsQuery { most: 100, ..read::RunsQuery::default() };
        let runs = read::runs(self.cp.store(), &query).await.unwrap();
        runs.into_iter().rev().map(v1::Run::from).collect()
    }

    pub(super) async fn end(&self, run: &v1::Run) {
        self.cancel(&run.id).await.unwrap();
    }
}

async fn export_runs_when_the_schedule_of_the_system_says_so(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await;
    let export = world.create_export(export(&connection.id), "").await.unwrap();
    assert_eq!(export.schedule, Some(plain(Mode::System)));
    // At first it is off.
    let reply = world.schedules().get_system_schedule(v1::GetSystemScheduleRequest {}).await;
    assert_eq!(reply.unwrap().into_inner().schedule, None);
    assert_eq!(export.next_run_at, None);
    world.clock.advance(365 * DAY);
    assert!(world.swept().await.is_empty());

    world.set_system(Some(daily(&["03:00", "15:00"]))).await.unwrap();
    let reply = world.schedules().get_system_schedule(v1::GetSystemScheduleRequest {}).await;
    assert_eq!(reply.unwrap().into_inner().schedule, Some(daily(&["03:00", "15:00"])));
    let next = world.shown(&export.id).await.next_run_at;
    assert_eq!(next, Some(at("2027-09-21T15:00:00Z")));
    assert!(world.swept().await.is_empty(), "it is not time yet");
    world.clock.advance(HOUR);
    let runs = world.swept().await;
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((run.trigger(), &run.export_id), (Trigger::Schedule, &export.id));
    assert_eq!((run.due_at, run.missed), (next, 0));
    assert_eq!(world.shown(&export.id).await.next_run_at, Some(at("2027-09-22T03:00:00Z")));
    assert_eq!(world.swept().await.len(), 1, "once is enough");

    world.set_system(None).await.unwrap();
    assert_eq!(world.shown(&export.id).await.next_run_at, None);
    world.end(run).await;
    world.clock.advance(7 * DAY);
    assert_eq!(world.swept().await.len(), 1);
}

async fn export_with_a_schedule_of_its_own_ignores_that_of_the_system(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await.id;
    world.set_system(Some(daily(&["03:00"]))).await.unwrap();
    let with_own = world.scheduled(&connection, own(daily(&["16:00"]))).await;
    let never = world.scheduled(&connection, plain(Mode::Off)).await;
    let follows = world.scheduled(&connection, plain(Mode::System)).await;
    let next = [&with_own, &never, &follows].map(|export| export.next_run_at);
    let (afternoon, night) = (Some(at("2026-09-21T16:00:00Z")), Some(at("2026-09-22T03:00:00Z")));
    assert_eq!(next, [afternoon, None, night]);

    let schedule = |ids: &[&v1::Export], schedule, keep_own| {
        let export_ids = ids.iter().map(|export| export.id.clone()).collect();
        let request = v1::ScheduleExportsRequest { export_ids, schedule: Some(schedule), keep_own };
        let mut client = world.schedules();
        async move { client.schedule_exports(request).await.map(|it| it.into_inner().export_ids) }
    };
    // All but the one with a schedule of its own, and only where it changes something.
    let changed = schedule(&[], plain(Mode::System), true).await.unwrap();
    assert_eq!(changed, [never.id.as_str()]);
    assert_eq!(world.shown(&never.id).await.next_run_at, night);
    assert_eq!(world.shown(&with_own.id).await.next_run_at, afternoon);
    let changed = schedule(&[&with_own], plain(Mode::Off), false).await.unwrap();
    assert_eq!(changed, [with_own.id.as_str()]);
    assert_eq!(world.shown(&with_own.id).await.next_run_at, None);
    // All or none.
    let gone = v1::Export { id: "exp_00000000-0000-0000-0000-000000000000".to_owned(), ..never };
    let refused = schedule(&[&follows, &gone], plain(Mode::Off), false).await;
    assert_eq!(missing(refused, Code::NotFound).1, gone.id);
    assert_eq!(world.shown(&follows.id).await.next_run_at, night);
}

async fn what_was_missed_is_made_up_for_by_one_run(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await.id;
    world.scheduled(&connection, own(daily(&["03:00"]))).await;
    world.clock.advance(3 * DAY);
    let runs = world.swept().await;
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((run.due_at, run.missed), (Some(at("2026-09-24T03:00:00Z")), 2));
    world.end(run).await;
    world.clock.advance(DAY);
    let run = world.swept().await.pop().unwrap();
    assert_eq!((run.due_at, run.missed), (Some(at("2026-09-25T03:00:00Z")), 0));
}

async fn export_that_is_due_waits_once_for_the_run_under_way(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await.id;
    let export = world.scheduled(&connection, own(daily(&["03:00", "15:00"]))).await;
    let under_way = world.start(&export.id, "by hand").await.unwrap();
    for _ in 0..3 {
        world.clock.advance(DAY / 2);
        assert_eq!(world.swept().await.len(), 1);
    }
    assert_eq!(world.shown(&export.id).await.schedule_problem, None);
    world.end(&under_way).await;
    let runs = world.swept().await;
    let [_, run] = runs.as_slice() else { panic!("{runs:?}") };
    // Of three times the last is meant, and the others are told.
    assert_eq!((run.due_at, run.missed), (Some(at("2026-09-22T15:00:00Z")), 2));
    world.end(run).await;
    assert_eq!(world.swept().await.len(), 2, "nothing waits any more");
}

async fn refusal_is_told_and_the_next_time_tries_again(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await.id;
    let export = world.scheduled(&connection, own(daily(&["15:00"]))).await;
    // An instance that cannot read the key of the connection.
    let other = world.another(b"another master key of 32 bytes!!").await;
    world.clock.advance(HOUR);
    other.sweep_schedules().await.unwrap();
    let problem = world.shown(&export.id).await.schedule_problem.unwrap();
    assert_eq!(problem.reason, "KEY_UNREADABLE");
    assert_eq!(problem.due_at, Some(at("2026-09-21T15:00:00Z")));
    assert!(problem.detail.contains("master key"), "{problem:?}");
    assert!(world.swept().await.is_empty(), "that time is over");
    world.clock.advance(DAY);
    assert_eq!(world.swept().await.len(), 1);
    assert_eq!(world.shown(&export.id).await.schedule_problem, None);
}

async fn two_instances_start_one_run(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await.id;
    world.scheduled(&connection, own(daily(&["15:00"]))).await;
    let other = world.another(&super::MASTER_KEY).await;
    world.clock.advance(HOUR);
    let (here, there) = tokio::join!(world.cp.sweep_schedules(), other.sweep_schedules());
    here.unwrap();
    there.unwrap();
    assert_eq!(world.swept().await.len(), 1);
}

async fn export_that_cannot_be_read_does_not_keep_others_from_running(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await.id;
    let broken = world.scheduled(&connection, own(daily(&["15:00"]))).await;
    let fine = world.scheduled(&connection, own(daily(&["15:00"]))).await;
    let mut tx = world.cp.store().begin().await.unwrap();
    let id = broken.id.parse().unwrap();
    let row = exports::lock(&mut tx, id).await.unwrap().unwrap();
    let mapping = "no JSON".to_owned();
    exports::update(&mut tx, &exports::Export { mapping, ..row }).await.unwrap();
    tx.commit().await.unwrap();
    world.clock.advance(HOUR);
    let runs = world.swept().await;
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!(run.export_id, fine.id);
}

async fn refusal_of_an_earlier_time_leaves_what_waits_now(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await.id;
    let export = world.scheduled(&connection, own(daily(&["15:00", "16:00"]))).await;
    let id = export.id.parse().unwrap();
    let other = world.another(b"another master key of 32 bytes!!").await;
    world.clock.advance(HOUR);
    let earlier = other.fall_due(id).await.unwrap().unwrap();
    world.clock.advance(HOUR);
    let later = other.fall_due(id).await.unwrap().unwrap();
    assert_ne!(earlier.due, later.due);
    // Whoever was slow knows only of the time before.
    other.start_turn(id, earlier).await.unwrap();
    let refusal = Refusal::blocked("KEY_UNREADABLE", id, "no key");
    other.note_refusal(id, earlier, &refusal).await.unwrap();
    assert_eq!(world.shown(&export.id).await.schedule_problem, None);
    let runs = world.swept().await;
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((run.due_at, run.missed), (Some(at("2026-09-21T16:00:00Z")), 1));
}

#[tokio::test]
async fn nobody_can_use_up_the_request_of_a_schedule() {
    let world = World::new().await;
    let connection = world.connection().await.id;
    let export = world.scheduled(&connection, own(daily(&["15:00"]))).await;
    let early = format!("schedule {} 2026-09-21T15:00:00.000Z", export.id);
    let run = world.start(&export.id, &early).await.unwrap();
    world.end(&run).await;
    world.clock.advance(HOUR);
    assert_eq!(world.swept().await.last().unwrap().trigger(), Trigger::Schedule);
}

#[tokio::test]
async fn schedule_can_be_changed_like_any_field() {
    let world = World::new().await;
    let export = world.export().await;
    let schedule = Some(own(daily(&["15:00"])));
    let update_mask = Some(FieldMask { paths: vec!["schedule".to_owned()] });
    let export = v1::Export { schedule: schedule.clone(), ..export };
    let request = v1::UpdateExportRequest { export: Some(export), update_mask };
    let export = world.exports().update_export(request).await.unwrap().into_inner().export.unwrap();
    assert_eq!(export.schedule, schedule);
    assert_eq!(export.next_run_at, Some(at("2026-09-21T15:00:00Z")));
}

#[tokio::test]
async fn what_is_wrong_with_a_schedule_is_named() {
    let world = World::new().await;
    let with = |recurrence, time_zone: &str| {
        Some(v1::Schedule { recurrence, time_zone: time_zone.to_owned() })
    };
    let weekly = |on, at: &str| Recurrence::Weekly(v1::Weekly { on, at: vec![at.to_owned()] });
    for (schedule, wrong) in [
        (with(None, "UTC"), vec!["schedule"]),
        (
            with(daily(&["3 o'clock"]).recurrence, "Berlin"),
            vec!["schedule.time_zone", "schedule.at"],
        ),
        (with(Some(weekly(vec![8], "03:00")), "UTC"), vec!["schedule.on"]),
        (with(Some(weekly(vec![], "03:00")), "UTC"), vec!["schedule.on"]),
        (with(Some(Recurrence::Cron("0 0 30 2 *".to_owned())), "UTC"), vec!["schedule.cron"]),
    ] {
        let refused = fields(world.set_system(schedule).await);
        let names: Vec<&str> = refused.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(names, wrong, "{refused:?}");
    }
    for (mode, own, wrong) in [
        (Mode::Own.into(), None, "export.schedule.own"),
        (Mode::Off.into(), Some(daily(&["03:00"])), "export.schedule.own"),
        (9, None, "export.schedule.mode"),
    ] {
        let schedule = Some(v1::ExportSchedule { mode, own });
        let connection = "con_00000000-0000-0000-0000-000000000000";
        let refused = world.create_export(v1::Export { schedule, ..export(connection) }, "").await;
        assert_eq!(super::field_names(refused), [wrong]);
    }
}

#[tokio::test]
async fn preview_tells_the_next_times_by_the_clock_of_the_zone() {
    let world = World::new().await;
    world.clock.set(Micros(1_774_569_600_000_000)); // 2026-03-27T00:00:00Z, before Berlin's clocks change
    let schedule = v1::Schedule { time_zone: "Europe/Berlin".to_owned(), ..daily(&["02:30"]) };
    let preview = async |count| {
        let request = v1::PreviewScheduleRequest { schedule: Some(schedule.clone()), count };
        world.schedules().preview_schedule(request).await.map(|it| it.into_inner().times)
    };
    let times = preview(4).await.unwrap();
    let wanted = [
        "2026-03-27T02:30:00+01:00",
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ];
    assert_eq!(times, wanted);
    assert_eq!(preview(0).await.unwrap().len(), 10);
    assert_eq!(super::field_names(preview(101).await), ["count"]);
}
