use super::*;

#[tokio::test]
async fn the_server_carries_every_ending() {
    let upstream = Upstream::start(world()).await.unwrap();
    let client = reqwest::Client::new();
    let url = format!("{}/address/{BECH32}", upstream.endpoint("blockstream"));
    let ask = || client.get(&url).timeout(Duration::from_millis(300)).send();

    let healthy = ask().await.unwrap();
    assert_eq!(healthy.status(), 200);
    let body = healthy.text().await.unwrap();
    assert!(body.contains("\"funded_txo_sum\":150000"));

    upstream.fault(Fault::at("blockstream", Kind::Hang));
    assert!(ask().await.unwrap_err().is_timeout());
    upstream.mend();
    upstream.fault(Fault::at("blockstream", Kind::Reset));
    let reset = ask().await.unwrap_err();
    assert!(reset.is_request() && !reset.is_timeout(), "{reset:?}");
    upstream.mend();
    upstream.fault(Fault::at("blockstream", Kind::CutOnWire));
    let cut = ask().await.unwrap();
    assert_eq!(cut.status(), 200);
    assert_eq!(cut.content_length(), Some(body.len() as u64));
    assert!(cut.text().await.is_err());
    upstream.mend();
    upstream.fault(Fault::at("blockstream", Kind::Delay { ms: 20 }));
    let start = tokio::time::Instant::now();
    assert_eq!(ask().await.unwrap().text().await.unwrap(), body);
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert_eq!(upstream.log().len(), 5);
}

#[tokio::test]
async fn another_process_can_put_in_faults_and_read_the_log() {
    let upstream = Upstream::start(world()).await.unwrap();
    let client = reqwest::Client::new();
    let control = |path: &str| format!("{}/_control/{path}", upstream.base_url);
    let tip = format!("{}/blocks/tip/height", upstream.endpoint("mempool"));
    let status = async || client.get(&tip).send().await.unwrap().status().as_u16();

    let fault = r#"[{"when":{"host":"mempool"},"what":{"kind":"status","code":503}}]"#;
    let post = client
        .post(control("faults"))
        .body(fault)
        .send()
        .await
        .unwrap();
    assert_eq!(post.status(), 200);
    assert_eq!(status().await, 503);
    let bad = client
        .post(control("faults"))
        .body(r#"{"what":{"kind":"no"}}"#)
        .send();
    assert_eq!(bad.await.unwrap().status(), 400);
    client.delete(control("faults")).send().await.unwrap();
    assert_eq!(status().await, 200);

    let text = async |path: &str| {
        let response = client.get(control(path)).send().await.unwrap();
        response.bytes().await.unwrap()
    };
    let log: Vec<Value> = serde_json::from_slice(&text("log").await).unwrap();
    let statuses: Vec<_> = log
        .iter()
        .map(|entry| entry["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [503, 200]);
    let counters: Value = serde_json::from_slice(&text("counters").await).unwrap();
    assert_eq!(counters["mempool"]["requests"], 2);
}
