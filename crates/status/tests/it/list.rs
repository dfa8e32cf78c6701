use std::time::Duration;

use segue_model::RunState;
use segue_proto::v1;
use segue_store::{test_util::Engine, write::runs::Origin};

use super::{Fixture, blamed, export_id, of_export, run_id};

segue_store::on_both_engines! {
    pages_show_each_run_once_newest_first_while_runs_are_added,
    list_is_of_the_export_and_the_state_that_are_asked_for,
    each_run_of_a_page_has_its_own_numbers,
}

async fn list(
    fixture: &Fixture,
    request: v1::ListRunsRequest,
) -> Result<v1::ListRunsResponse, tonic::Status> {
    fixture.client().list_runs(request).await.map(tonic::Response::into_inner)
}

fn ids(runs: &[v1::Run]) -> Vec<String> {
    runs.iter().map(|run| run.id.clone()).collect()
}

async fn pages_show_each_run_once_newest_first_while_runs_are_added(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    for n in 0..23 {
        // Some of them begin in the same microsecond, and ids are not in the order of time.
        if n % 3 == 0 {
            fixture.clock.advance(Duration::from_micros(1));
        }
        fixture.run(1000 - n, Origin::default()).await;
    }
    let mut expected: Vec<(u128, String)> =
        (0..23).map(|n| (n / 3, run_id(1000 - n).to_string())).collect();
    expected.sort_by(|one, other| other.cmp(one));
    let expected: Vec<String> = expected.into_iter().map(|(_, id)| id).collect();

    let (mut seen, mut pages, mut page_token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let request = v1::ListRunsRequest { page_size: 5, page_token, ..Default::default() };
        let page = list(&fixture, request).await.unwrap();
        pages.push(page.runs.len());
        seen.extend(ids(&page.runs));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        // Newer ones do not move those that are still to be seen.
        fixture.clock.advance(Duration::from_micros(1));
        fixture.run(2000 + pages.len() as u128, Origin::default()).await;
    }
    assert_eq!(seen, expected);
    assert_eq!(pages, [5, 5, 5, 5, 3]);
}

async fn list_is_of_the_export_and_the_state_that_are_asked_for(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    for n in 1..=6 {
        fixture.clock.advance(Duration::from_micros(1));
        let run = fixture.run(n, of_export(1 + n % 2)).await;
        let state = if n <= 4 { RunState::Succeeded } else { continue };
        fixture.end(run, state).await;
    }
    fixture.clock.advance(Duration::from_micros(1));
    fixture.run(7, Origin::default()).await;
    let (even, ended) = (export_id(1).to_string(), v1::RunState::Succeeded);
    for (export_id, state, expected) in [
        ("", v1::RunState::Unspecified, &[7, 6, 5, 4, 3, 2, 1][..]),
        (&even, v1::RunState::Unspecified, &[6, 4, 2]),
        ("", ended, &[4, 3, 2, 1]),
        (&even, ended, &[4, 2]),
        (&even, v1::RunState::Failed, &[]),
        (&export_id(9).to_string(), v1::RunState::Unspecified, &[]),
    ] {
        let expected: Vec<String> = expected.iter().map(|n| run_id(*n).to_string()).collect();
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let export_id = export_id.to_owned();
            let request =
                v1::ListRunsRequest { export_id, state: state.into(), page_size: 2, page_token };
            let page = list(&fixture, request).await.unwrap();
            assert!(page.runs.len() == 2 || page.next_page_token.is_empty());
            seen.extend(ids(&page.runs));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, expected, "{export_id:?} {state:?}");
    }
}

async fn each_run_of_a_page_has_its_own_numbers(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    for n in 0..5 {
        fixture.clock.advance(Duration::from_micros(1));
        let run = fixture.run(n, of_export(n)).await;
        for no in 0..u32::try_from(n).unwrap() {
            fixture.stage(run, no).await;
        }
        if n > 0 {
            fixture.accept(run, 0).await;
            fixture.confirm(run, 0).await;
        }
    }
    let request = v1::ListRunsRequest { page_size: 4, ..Default::default() };
    let page = list(&fixture, request).await.unwrap();
    for run in &page.runs {
        let got = fixture.client().get_run(v1::GetRunRequest { run_id: run.id.clone() }).await;
        assert_eq!(got.unwrap().into_inner().run.as_ref(), Some(run));
    }
    let rows: Vec<u64> =
        page.runs.iter().map(|run| run.counts.as_ref().unwrap().rows_read).collect();
    assert_eq!(rows, [52, 39, 26, 13]);
}

#[tokio::test]
async fn page_has_a_hundred_runs_unless_more_or_fewer_are_asked_for() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    for n in 0..105 {
        fixture.run(n, Origin::default()).await;
    }
    for (page_size, expected) in [(0, 100), (1, 1), (105, 105), (5000, 105)] {
        let request = v1::ListRunsRequest { page_size, ..Default::default() };
        let page = list(&fixture, request).await.unwrap();
        assert_eq!(page.runs.len(), expected);
        assert_eq!(page.next_page_token.is_empty(), expected == 105);
    }
}

#[tokio::test]
async fn what_makes_no_list_is_blamed_on_its_field() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    for n in 0..3 {
        fixture.run(n, Origin::default()).await;
    }
    let all = v1::ListRunsRequest { page_size: 1, ..Default::default() };
    let page_token = list(&fixture, all.clone()).await.unwrap().next_page_token;
    let cut = page_token[..20].to_owned();
    let state = v1::RunState::Failed.into();
    for (request, field) in [
        (v1::ListRunsRequest { page_token: "next".to_owned(), ..all.clone() }, "page_token"),
        (v1::ListRunsRequest { page_token: cut, ..all.clone() }, "page_token"),
        // Of another list.
        (v1::ListRunsRequest { page_token, state, ..all.clone() }, "page_token"),
        (v1::ListRunsRequest { page_size: -1, ..all.clone() }, "page_size"),
        (v1::ListRunsRequest { state: 99, ..all.clone() }, "state"),
        (v1::ListRunsRequest { export_id: run_id(1).to_string(), ..all }, "export_id"),
    ] {
        let status = list(&fixture, request.clone()).await.unwrap_err();
        assert_eq!(blamed(&status), field, "{request:?}");
    }
}
