use forkprint::servers::gunicorn::{AnalyzeOptions, analyze};
use forkprint::servers::load::Plan;
use std::path::Path;
use std::time::Duration;

#[test]
fn x() {
    let shop = Path::new("workloads/servers/gunicorn_shop");
    let plan = Plan::read(&shop.join("load.toml")).unwrap();
    let extra: Vec<String> = std::env::var("EXTRA").unwrap_or_default().split_whitespace().map(Into::into).collect();
    let invocation = forkprint::servers::gunicorn::Invocation { python: std::env::var("FORKPRINT_TEST_PYTHON").unwrap().into(), config: "workloads/servers/gunicorn_shop/gunicorn.conf.py".into(), extra };
    let recording = analyze(&AnalyzeOptions { invocation, plan, measure: Default::default(), patience: Duration::from_secs(60), command: String::new() }, |_| ()).unwrap();
    for s in &recording.steps { println!("{} {:?} ledger {}", s.name, s.workers, s.ledger.distinct_frames); }
    println!("{:#?} {:#?} {:#?}", recording.findings, recording.about, recording.workers);
}
