//! One pool's pass on paper, by the rules of the [engine](crate::scan::engine).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::limits::Pacer;
use super::{Pool, PoolForecast, Provider, Share};
use crate::config::Strategy;
use crate::plugin::Cost;
use crate::scan::plan::PLAN_CHUNK;
use crate::scan::queue::{Asked, ChunkLimits, Item, Lane, LaneKind, Queue};

/// What a request takes beside its limits: nothing, but enough to tell which of two calls is
/// answered first.
const REQUEST_NS: u64 = 1;

/// A pass while it runs; times are nanoseconds from the start of the forecast.
pub(super) struct Pass<'a> {
    pool: &'a Pool,
    queue: Queue,
    /// Addresses whose cells went into the queue.
    planned: u64,
    /// By asset: whether some provider reads it.
    readable: Vec<bool>,
    members: Vec<Member>,
    under_way: BinaryHeap<Reverse<Flight>>,
    flights: u64,
    /// Requests of all providers so far.
    pub(super) sent: u64,
    shares: Vec<Share>,
}

/// A call that is under way; the first in this order is answered first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    ends_ns: u64,
    number: u64,
    member: usize,
    is_identity: bool,
}

/// What changes of a provider.
#[derive(Clone, Debug, Default)]
struct Member {
    under_way: usize,
    identity: Identity,
    has_called: bool,
    tokens: HashSet<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Identity {
    #[default]
    Unknown,
    Asked,
    Known,
}

/// Where a provider stands for the next chunk.
enum Stance {
    Ready,
    /// What it would take waits for it.
    Holding(Option<u64>),
    /// What it would take goes to the next one.
    Out(u64),
}

impl<'a> Pass<'a> {
    pub(super) fn new(pool: &'a Pool) -> Self {
        let providers = &pool.providers;
        let mixed = providers.iter().any(|it| it.caps.native != it.caps.tokens);
        let reads = |native| move |it: &Provider| reads_kind(it, native);
        let readable = pool.assets.iter();
        let readable = readable.map(|asset| providers.iter().any(reads(asset.is_native())));
        let identity = if pool.asks_identity {
            Identity::Unknown
        } else {
            Identity::Known
        };
        let member = Member {
            identity,
            ..Member::default()
        };
        Self {
            pool,
            queue: Queue::new(&pool.assets, mixed),
            planned: 0,
            readable: readable.collect(),
            members: vec![member; providers.len()],
            under_way: BinaryHeap::new(),
            flights: 0,
            sent: 0,
            shares: vec![Share::default(); providers.len()],
        }
    }

    /// Goes on at `now_ns`: one answer comes in, what can be sent is sent. Tells when to go on;
    /// `None` at the end.
    pub(super) fn step(&mut self, now_ns: u64, pacers: &mut [Pacer<'_>]) -> Option<u64> {
        self.land(now_ns);
        self.refill();
        let opens_ns = self.dispatch(now_ns, pacers);
        let lands_ns = self.under_way.peek().map(|Reverse(flight)| flight.ends_ns);
        [opens_ns, lands_ns].into_iter().flatten().min()
    }

    pub(super) fn finish(self) -> PoolForecast {
        let unreadable = self.readable.iter().filter(|readable| !**readable).count();
        PoolForecast {
            shares: self.shares,
            unreadable: self.pool.addresses.saturating_mul(unreadable as u64),
        }
    }

    fn land(&mut self, now_ns: u64) {
        let first = self.under_way.peek();
        if first.is_none_or(|Reverse(flight)| flight.ends_ns > now_ns) {
            return;
        }
        let Some(Reverse(flight)) = self.under_way.pop() else {
            return;
        };
        let member = &mut self.members[flight.member];
        if flight.is_identity {
            member.identity = Identity::Known;
        } else {
            member.under_way -= 1;
        }
    }

    /// Plans more cells while the queue has less than every provider could take.
    fn refill(&mut self) {
        let providers = self.pool.providers.iter();
        let wanted = providers
            .map(|it| it.cells_max.saturating_mul(it.connections))
            .max()
            .unwrap_or(0);
        while self.queue.len() < wanted && self.planned < self.pool.addresses {
            let until = self.pool.addresses.min(self.planned + PLAN_CHUNK as u64);
            for address in self.planned..until {
                let address: Arc<str> = address.to_string().into();
                for asset in self.readable_assets() {
                    let item = Item {
                        address: address.clone(),
                        asset,
                        suspect: 0,
                        counted: false,
                        errors: Vec::new(),
                    };
                    self.queue.push(item, Asked::default());
                }
            }
            self.planned = until;
        }
    }

    fn readable_assets(&self) -> Vec<u16> {
        let assets = (0_u16..).zip(&self.readable);
        let readable = assets.filter(|(_, readable)| **readable);
        readable.map(|(asset, _)| asset).collect()
    }

    /// Hands out what can be handed out; tells when a provider that is waited for may send.
    fn dispatch(&mut self, now_ns: u64, pacers: &mut [Pacer<'_>]) -> Option<u64> {
        let mut wake: Option<u64> = None;
        let mut holding: Vec<usize> = Vec::new();
        for index in 0..self.members.len() {
            let pacer = &mut pacers[self.pool.providers[index].limits];
            loop {
                let lanes = self.lanes_for(index, &holding);
                if lanes.is_empty() {
                    break;
                }
                let opens_ns = match self.stance(index, now_ns, pacer) {
                    Stance::Ready => {
                        self.send(index, now_ns, pacer, &lanes);
                        continue;
                    }
                    Stance::Holding(opens_ns) => {
                        holding.push(index);
                        opens_ns
                    }
                    Stance::Out(opens_ns) => Some(opens_ns),
                };
                wake = [wake, opens_ns].into_iter().flatten().min();
                break;
            }
        }
        wake
    }

    /// The lanes that this provider may take from: it reads them, and in failover no provider
    /// before it is about to take them.
    fn lanes_for(&self, index: usize, holding: &[usize]) -> Vec<Lane> {
        let providers = &self.pool.providers;
        let reads = |provider: &Provider, kind: LaneKind| match kind {
            LaneKind::Any | LaneKind::Native => provider.caps.native,
            LaneKind::Token => provider.caps.tokens,
        };
        let is_free = |lane: &Lane| {
            let held = || {
                let mut holders = holding.iter();
                holders.any(|holder| reads(&providers[*holder], lane.kind))
            };
            reads(&providers[index], lane.kind)
                && (self.pool.strategy == Strategy::Spread || !held())
        };
        self.queue.lanes().filter(is_free).collect()
    }

    fn stance(&mut self, index: usize, now_ns: u64, pacer: &mut Pacer<'_>) -> Stance {
        let member = &self.members[index];
        if member.under_way >= self.pool.providers[index].connections
            || member.identity == Identity::Asked
        {
            return Stance::Holding(None);
        }
        let opens_ns = pacer.next_ns(now_ns);
        let waits = Duration::from_nanos(opens_ns - now_ns);
        if waits > self.pool.spill_after {
            return Stance::Out(opens_ns);
        }
        if !waits.is_zero() {
            return Stance::Holding(Some(opens_ns));
        }
        if member.identity == Identity::Known {
            return Stance::Ready;
        }
        self.members[index].identity = Identity::Asked;
        self.shares[index].start_up += 1;
        self.fly(index, 1, true, now_ns, pacer);
        Stance::Holding(None)
    }

    fn send(&mut self, index: usize, now_ns: u64, pacer: &mut Pacer<'_>, lanes: &[Lane]) {
        let Provider {
            caps, cells_max, ..
        } = self.pool.providers[index];
        // What a long limit leaves of a call is answered; the rest of its cells goes to others.
        let room = if self.pool.providers.len() > 1 {
            let per_cell = caps.cost.native_cell.max(caps.cost.token_cell).max(1);
            pacer.room(now_ns) / u64::from(per_cell)
        } else {
            u64::MAX
        };
        let room = usize::try_from(room).unwrap_or(usize::MAX).max(1);
        let limits = ChunkLimits {
            cells: cells_max.min(room),
            addresses: caps.addresses_max,
            assets: caps.assets_max,
        };
        let items = self.queue.pull(lanes, limits).items;
        let is_native = |asset: u16| self.pool.assets[usize::from(asset)].is_native();
        let tokens: Vec<u16> = items
            .iter()
            .map(|(item, _)| item.asset)
            .filter(|asset| !is_native(*asset))
            .collect();
        let natives = items.len() - tokens.len();
        let start_up = self.members[index].start_up(&caps.cost, &tokens);
        let requests = caps.cost.requests(count(natives), count(tokens.len()));
        let share = &mut self.shares[index];
        share.calls += 1;
        share.cells += items.len() as u64;
        share.start_up += start_up;
        self.members[index].under_way += 1;
        self.fly(index, start_up + u64::from(requests), false, now_ns, pacer);
    }

    /// Sends a call of so many requests, one after the other.
    fn fly(
        &mut self,
        member: usize,
        requests: u64,
        is_identity: bool,
        now_ns: u64,
        pacer: &mut Pacer<'_>,
    ) {
        let mut sent_ns = now_ns;
        for _ in 0..requests {
            sent_ns = pacer.send(sent_ns);
        }
        let share = &mut self.shares[member];
        share.requests += requests;
        share.ends = share.ends.max(Duration::from_nanos(sent_ns));
        self.sent += requests;
        self.flights += 1;
        self.under_way.push(Reverse(Flight {
            ends_ns: sent_ns.saturating_add(requests.max(1).saturating_mul(REQUEST_NS)),
            number: self.flights,
            member,
            is_identity,
        }));
    }
}

impl Member {
    /// What a call with these tokens asks that was not asked before.
    fn start_up(&mut self, cost: &Cost, tokens: &[u16]) -> u64 {
        let mut requests = 0;
        if !std::mem::replace(&mut self.has_called, true) {
            requests += u64::from(cost.once);
        }
        if !tokens.is_empty() && self.tokens.is_empty() {
            requests += u64::from(cost.once_tokens);
        }
        for token in tokens {
            if self.tokens.insert(*token) {
                requests += u64::from(cost.once_per_token);
            }
        }
        requests
    }
}

fn reads_kind(provider: &Provider, native: bool) -> bool {
    if native {
        provider.caps.native
    } else {
        provider.caps.tokens
    }
}

fn count(cells: usize) -> u32 {
    u32::try_from(cells).unwrap_or(u32::MAX)
}
