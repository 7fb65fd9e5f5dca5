//! A store that outlives the process.

use super::*;

/// A run of the process: what it sends is counted by the server, what it saves is in the store.
struct Run {
    pacer: Pacer,
    stored: Option<PersistedPacer>,
}

impl Run {
    fn start(config: &PacerConfig, clock: &SharedClock, stored: Option<PersistedPacer>) -> Self {
        let pacer = Pacer::new(config, clock.clone());
        pacer.attach(stored.as_ref());
        Self { pacer, stored }
    }

    /// Stores what it may spend next.
    async fn save(&mut self) {
        let save = self.pacer.save().await.unwrap();
        self.stored = Some(through_json(save.state()));
        save.stored();
    }

    async fn end(mut self) -> Option<PersistedPacer> {
        let save = self.pacer.save_last().await.unwrap();
        self.stored = Some(through_json(save.state()));
        save.stored();
        assert!(
            self.pacer.reserve().is_err(),
            "nothing is spent after the end"
        );
        self.stored
    }

    /// Spends up to `units` as fast as it may; how many it did.
    fn spend(&self, server: &mut Server, units: u64) -> u64 {
        for done in 0..units {
            let Ok(held) = self.pacer.reserve() else {
                return done;
            };
            let slots = RequestSlots::with_first(self.pacer.clone(), Some(held));
            let taken = futures_util::FutureExt::now_or_never(slots.take(1));
            taken.unwrap().unwrap().answered();
            server.count(Instant::now(), 1);
        }
        units
    }
}

fn through_json(state: &PersistedPacer) -> PersistedPacer {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

fn clock() -> SharedClock {
    Arc::new(VirtualClock::starting_at(START_MS))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_spent_that_the_store_does_not_know() {
    let mut run = Run::start(&config(&["700/h"]), &clock(), None);
    let mut server = Server::default();
    assert_eq!(run.spend(&mut server, 1), 0);
    run.save().await;
    assert_eq!(run.spend(&mut server, 700), 14, "2 % of the window");
    // It asks for more by itself.
    run.pacer.save_wanted().await;
    run.save().await;
    assert_eq!(run.spend(&mut server, 10), 10);
}

#[tokio::test(start_paused = true)]
async fn a_save_that_never_reached_the_store_grants_nothing() {
    let run = Run::start(&config(&["700/h"]), &clock(), None);
    drop(run.pacer.save().await.unwrap());
    assert_eq!(run.spend(&mut Server::default(), 1), 0);
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_moment_never_exceeds_a_window() {
    let limits = ["50/h", "90/2h"];
    let clock = clock();
    let mut server = Server::default();
    let mut stored = None;
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..400 {
        let mut run = Run::start(&config(&limits), &clock, stored.take());
        for _ in 0..random.usize(..6) {
            run.spend(&mut server, random.u64(..4));
            tokio::time::advance(random.u32(..120) * SECOND).await;
            run.save().await;
            run.spend(&mut server, random.u64(..4));
        }
        // Killed: what was not stored is forgotten.
        stored = run.stored;
        tokio::time::advance(random.u32(..60) * SECOND).await;
    }
    server.assert_within(&windows(&limits));
    assert!(server.total() > 400, "{} were sent in all", server.total());
}

#[tokio::test(start_paused = true)]
async fn a_kill_costs_the_grant_and_a_clean_end_costs_nothing() {
    let config = config(&["700/h"]);
    let clock = clock();
    let mut server = Server::default();
    let mut run = Run::start(&config, &clock, None);
    run.save().await;
    run.spend(&mut server, 10);
    tokio::time::advance(60 * SECOND).await;

    let killed = Run::start(&config, &clock, run.stored.clone());
    assert_eq!(killed.pacer.snapshot().limits[0].used, 14);
    let ended = Run::start(&config, &clock, run.end().await);
    assert_eq!(ended.pacer.snapshot().limits[0].used, 10);
    // Both are free again with the hour, as if there had been no restart.
    tokio::time::advance(HOUR + 30 * SECOND).await;
    assert_eq!(ended.pacer.snapshot().limits[0].used, 0);
}

#[tokio::test(start_paused = true)]
async fn other_limits_know_what_was_sent_under_the_old_ones() {
    let clock = clock();
    let mut server = Server::default();
    let mut run = Run::start(&config(&["100/2h"]), &clock, None);
    for _ in 0..40 {
        run.save().await;
        run.spend(&mut server, 1);
        tokio::time::advance(60 * SECOND).await;
    }
    let stored = run.end().await;
    for limits in [["60/h"], ["60/2h"], ["60/d"]] {
        let run = Run::start(&config(&limits), &clock, stored.clone());
        assert_eq!(run.pacer.snapshot().limits[0].used, 40, "{limits:?}");
    }
    tokio::time::advance(40 * 60 * SECOND).await;
    let run = Run::start(&config(&["60/h"]), &clock, stored);
    let used = run.pacer.snapshot().limits[0].used;
    assert!((19..=22).contains(&used), "{used}");
}

#[tokio::test(start_paused = true)]
async fn pauses_and_quotas_are_kept_and_bounded() {
    let config = PacerConfig {
        quotas: vec!["10/day".parse().unwrap()],
        key: "test".to_owned(),
        ..PacerConfig::default()
    };
    let clock = clock();
    let mut run = Run::start(&config, &clock, None);
    for _ in 0..6 {
        run.save().await;
        run.spend(&mut Server::default(), 1);
    }
    run.pacer.rate_answer(Some(600 * SECOND), Instant::now());
    run.pacer.save_wanted().await;
    let stored = run.end().await.unwrap();

    let again = Run::start(&config, &clock, Some(stored.clone()));
    assert_eq!(again.pacer.pause(), Some(Instant::now() + 600 * SECOND));
    assert_eq!(again.pacer.snapshot().limits[0].used, 6);

    // A clock that was set back by a year: nothing lasts longer than it could.
    let back: SharedClock = Arc::new(VirtualClock::starting_at(START_MS - 365 * 86_400_000));
    let again = Run::start(&config, &back, Some(stored.clone()));
    assert_eq!(again.pacer.pause(), Some(Instant::now() + HOUR));
    assert_eq!(again.pacer.snapshot().limits[0].used, 6);

    // The next day has its own.
    let next: SharedClock = Arc::new(VirtualClock::starting_at(START_MS + 3 * 3_600_000));
    let again = Run::start(&config, &next, Some(stored));
    assert_eq!(again.pacer.pause(), None);
    assert_eq!(again.pacer.snapshot().limits[0].used, 0);
}

#[tokio::test(start_paused = true)]
async fn one_save_is_under_way_at_a_time() {
    let run = Run::start(&config(&["700/h"]), &clock(), None);
    let first = run.pacer.save().await.unwrap();
    let second = tokio::time::timeout(SECOND, run.pacer.save()).await;
    assert!(
        second.is_err(),
        "two saves would both grant what only one has stored"
    );
    first.stored();
    let second = run.pacer.save().await.unwrap();
    assert_eq!(second.state().granted, 14, "a save alone grants nothing");
}
