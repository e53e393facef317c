//! What several gateways count together, in a Redis (R50): leaky buckets, each a number in one hash.
//!
//! A gateway adds what it has let through to the buckets of its busiest cells, and is told how much each of them holds, in one
//! round trip. Time is Redis's own, so no two clocks are compared. Cells are numbers: nobody is named here, and whose they are
//! cannot be told without the secret by which they are chosen. It knows neither limits nor requests.

use std::future::Future;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use crate::activity::RedisServer;

/// How long Redis may take for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The hash's field `secret` is what the first gateway brought; the others take it over. Buckets under another secret would be
/// other people's, so nothing is added under one. A bucket is the time, in microseconds, at which it is empty again.
const SCRIPT: &str = r"
local key, secret, most = KEYS[1], ARGV[1], tonumber(ARGV[2])
redis.call('HSETNX', key, 'secret', secret)
redis.call('EXPIRE', key, ARGV[3])
local theirs = redis.call('HGET', key, 'secret')
local answer = {theirs}
if theirs ~= secret then return answer end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for at = 4, #ARGV, 2 do
  local empty = math.max(tonumber(redis.call('HGET', key, ARGV[at]) or now) or now, now)
  empty = math.min(empty + tonumber(ARGV[at + 1]), now + most)
  redis.call('HSET', key, ARGV[at], string.format('%.0f', empty))
  answer[#answer + 1] = string.format('%.0f', empty - now)
end
return answer";

/// How long the hash outlives the last gateway, in seconds.
const EXPIRES: u32 = 3600;

/// The buckets that gateways share.
pub struct SharedCounters {
    client: redis::Client,
    key: String,
    most: Duration,
    /// A connection that failed is not used again.
    open: Option<MultiplexedConnection>,
}

impl std::fmt::Debug for SharedCounters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedCounters").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What came of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Round {
    /// How long each bucket takes to become empty, in the order they were given.
    Owed(Vec<Duration>),
    /// The others choose cells by this secret; nothing was added.
    Secret(u64),
}

impl SharedCounters {
    /// The hash `key` on a server. No bucket is filled by more than `most`.
    pub fn new(server: &RedisServer, key: String, most: Duration) -> Self {
        Self { client: server.client().clone(), key, most, open: None }
    }

    /// Adds to some buckets, and tells what all gateways have put into them.
    ///
    /// # Errors
    /// Why Redis cannot say.
    pub async fn add(&mut self, secret: u64, used: &[(String, Duration)]) -> Result<Round, String> {
        let mut connection = match self.open.take() {
            Some(connection) => connection,
            None => in_time(self.client.get_multiplexed_async_connection()).await?,
        };
        let ours = format!("{secret:016x}");
        let mut command = redis::cmd("EVAL");
        command.arg(SCRIPT).arg(1).arg(&self.key).arg(&ours).arg(micros(self.most)).arg(EXPIRES);
        for (bucket, duration) in used {
            command.arg(bucket).arg(micros(*duration));
        }
        let answer: Vec<String> = in_time(command.query_async(&mut connection)).await?;
        self.open = Some(connection);
        let unreadable = || format!("the hash {} holds what no gateway wrote", self.key);
        let (theirs, owed) = answer.split_first().ok_or_else(unreadable)?;
        if *theirs != ours {
            return u64::from_str_radix(theirs, 16).map(Round::Secret).map_err(|_| unreadable());
        }
        let owed: Option<Vec<_>> =
            owed.iter().map(|micros| Some(Duration::from_micros(micros.parse().ok()?))).collect();
        owed.filter(|owed| owed.len() == used.len()).map(Round::Owed).ok_or_else(unreadable)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

async fn in_time<T>(asking: impl Future<Output = redis::RedisResult<T>>) -> Result<T, String> {
    match timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("Redis does not answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use portway_testkit::Redis;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn on(redis: &Redis) -> SharedCounters {
        SharedCounters::new(&redis.url().parse().unwrap(), "counters".into(), MINUTE)
    }

    async fn owed(counters: &mut SharedCounters, bucket: &str, seconds: u64) -> Duration {
        match counters.add(7, &[(bucket.into(), Duration::from_secs(seconds))]).await.unwrap() {
            Round::Owed(owed) => owed[0],
            Round::Secret(other) => panic!("the secret is {other}"),
        }
    }

    #[tokio::test]
    async fn what_two_gateways_add_is_what_both_are_told() {
        let redis = Redis::start();
        let (mut one, mut two) = (on(&redis), on(&redis));
        assert_eq!(owed(&mut one, "v1", 20).await, Duration::from_secs(20));
        let both = owed(&mut two, "v1", 10).await;
        assert!(both > Duration::from_secs(20) && both <= Duration::from_secs(30), "{both:?}");
        assert_eq!(owed(&mut two, "v2", 1).await, Duration::from_secs(1), "another bucket");
        assert_eq!(owed(&mut one, "v1", 1_000_000).await, MINUTE, "a bucket has a bound");
        assert!(owed(&mut one, "v1", 0).await < MINUTE, "and leaks");
        assert_eq!(redis.ask(&["HKEYS", "counters"]), "secret\nv1\nv2");
    }

    #[tokio::test]
    async fn the_first_secret_is_everybodys() {
        let mut redis = Redis::start();
        let (mut one, mut two) = (on(&redis), on(&redis));
        assert_eq!(one.add(7, &[]).await, Ok(Round::Owed(vec![])));
        let used = [("v1".to_owned(), Duration::from_secs(1))];
        assert_eq!(two.add(8, &used).await, Ok(Round::Secret(7)));
        assert_eq!(redis.ask(&["HEXISTS", "counters", "v1"]), "0", "it was added under another secret");
        redis.kill();
        assert!(two.add(7, &used).await.is_err());
        redis.start_again();
        assert_eq!(two.add(7, &[]).await, Ok(Round::Owed(vec![])), "an empty Redis takes it from whoever is there");
        assert_eq!(redis.ask(&["HGET", "counters", "secret"]), "0000000000000007");
    }

    #[tokio::test]
    async fn what_others_wrote_is_no_bucket() {
        let redis = Redis::start();
        redis.ask(&["HSET", "counters", "v1", "nonsense", "secret", "0000000000000007"]);
        assert_eq!(owed(&mut on(&redis), "v1", 2).await, Duration::from_secs(2));
        redis.ask(&["HSET", "counters", "secret", "nonsense"]);
        assert!(on(&redis).add(7, &[]).await.is_err());
        redis.ask(&["SET", "counters", "a text"]);
        assert!(on(&redis).add(7, &[]).await.is_err());
    }
}
