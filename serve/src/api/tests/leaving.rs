//! Clients that leave: nobody else notices, and nothing stays behind.

use std::time::Duration;

use serde_json::json;

use super::harness::{new_app, request, send_to};

/// Polls a future a few times and drops it, as hyper does if a client leaves.
async fn leave(future: impl Future, after: Duration) {
    let _ = tokio::time::timeout(after, future).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_a_model_loads_leaves_no_lease() {
    let app = new_app();
    let entry = app.models.find(None).expect("the storyteller").clone();
    for _ in 0..3 {
        leave(app.models.lease(None), Duration::ZERO).await;
    }
    // Loading goes on and is kept for the next.
    let lease = app.models.lease(None).await.expect("it loads");
    assert_eq!(
        app.models.loads.load(std::sync::atomic::Ordering::Relaxed),
        1,
        "once"
    );
    assert!(!app.models.unload(&entry), "it is in use");
    drop(lease);
    assert!(app.models.unload(&entry), "nobody uses it");
    app.engine.stop();
}

#[tokio::test]
async fn embeddings_do_not_end_with_somebody_elses_request() {
    let app = new_app();
    let long = json!({"messages": [{"role": "user", "content": "Once upon a time"}], "max_tokens": 400});
    for round in 0..20 {
        let chat = request("POST", "/v1/chat/completions", long.to_string());
        let body = json!({"input": ["hello there", "Once upon a time there was a king"]});
        let embed = request("POST", "/v1/embeddings", body.to_string());
        let leaving = leave(send_to(app.clone(), chat), Duration::from_millis(round));
        let (reply, ()) = tokio::join!(send_to(app.clone(), embed), leaving);
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    app.engine.stop();
}
