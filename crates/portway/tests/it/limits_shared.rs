//! Gateways that count rates together in a Redis: one limit over all of them, and each its own while Redis is away.

use std::time::Instant;

use portway_testkit::{Echo, Redis, eventually_async};

use crate::hub::metric_of;
use crate::stage::{Door, Stage, plan};

/// Requests of one visitor, a second.
const RATE: f64 = 4.0;
/// What is let through at once: ten seconds' worth.
const BURST: usize = 40;

fn start(redis: &Redis, private: &Echo, public: &Echo) -> Stage {
    let limits = format!("[limits]\nvisitor_rate = {RATE}\nshared = \"{}\"\n", redis.url());
    plan().private(private.port()).public(public.port()).config(&limits).start()
}

async fn counts_together(stage: &Stage, is: bool) {
    let wanted = Some(f64::from(u8::from(is)));
    let told = async || metric_of(&stage.gateway, "portway_limits_shared").await == wanted;
    eventually_async("the gateway to say whether it counts alone", told).await;
}

/// Asks until it is one request too many; how many were not.
async fn use_up(door: &Door) -> usize {
    let mut client = door.connect().await;
    for count in 0.. {
        match client.round_trip("GET", door.head("GET /", "")).await.status() {
            200 => {}
            429 => return count,
            other => panic!("{other}"),
        }
    }
    unreachable!("it counts for ever")
}

/// Waits until both gateways have told and asked.
async fn exchanged(redis: &Redis) {
    let rounds = || {
        let stats = redis.ask(&["INFO", "commandstats"]);
        let calls = stats.split("cmdstat_eval:calls=").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok());
        calls.unwrap_or(0_u64)
    };
    let before = rounds();
    eventually_async("gateways to tell each other", async || rounds() >= before + 4).await;
}

#[tokio::test]
async fn two_gateways_let_through_what_one_would_and_go_on_without_redis() {
    let (mut redis, private, public) = (Redis::start(), Echo::start().await, Echo::start().await);
    let stages = [start(&redis, &private, &public), start(&redis, &private, &public)];
    let doors = stages.each_ref().map(|stage| stage.door(private.port()));
    for stage in &stages {
        counts_together(stage, true).await;
    }
    exchanged(&redis).await;

    // Both at once, before they can know of each other.
    for door in &doors {
        assert!(use_up(door).await >= BURST);
    }
    exchanged(&redis).await;
    let (begun, mut through) = (Instant::now(), 0);
    for _ in 0..4 {
        exchanged(&redis).await;
        through += use_up(&doors[0]).await + use_up(&doors[1]).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{through} requests let through by two gateways in {seconds:.1} s, of {RATE} a second");
    assert!(through as f64 <= RATE * seconds, "{through} in {seconds} s is more than one gateway would let through");
    for stage in &stages {
        assert_eq!(stage.door(public.port()).get("/").await, 200, "another visitor");
    }
    let keys = redis.ask(&["KEYS", "*"]);
    assert!(keys.starts_with("portway:limits:") && keys.lines().count() == 1, "{keys}");
    let fields = redis.ask(&["HGETALL", &keys]);
    assert!(!fields.contains("alice") && !fields.contains("127.0.0.1"), "{fields}");

    redis.kill();
    for (stage, door) in stages.iter().zip(&doors) {
        counts_together(stage, false).await;
        eventually_async("the gateway's own limit to let a request through", async || door.get("/").await == 200).await;
        use_up(door).await;
        assert!(stage.gateway.log().iter().any(|line| line["event"] == "limits-apart"));
    }
    redis.start_again();
    for stage in &stages {
        counts_together(stage, true).await;
    }
    let told = async || doors[0].get("/").await == 200 && redis.ask(&["HLEN", &keys]).parse::<u32>().unwrap_or(0) > 1;
    eventually_async("requests to be counted together again", told).await;
    for stage in stages {
        stage.gateway.stop();
    }
}
