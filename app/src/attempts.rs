//! How often an address may try to sign in, sign up or ask for mail: a bounded rate limiter in memory.
//!
//! GCRA (the "virtual scheduling" form of ITU-T I.371): one stored time per address and action, no timers.

use domain::time::Micros;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    SignIn,
    SignUp,
    /// Asking for a mail: forgotten password, verification.
    Mail,
    /// Following a mailed link.
    Link,
    Checkout,
}

/// The theoretical arrival times of the addresses that tried lately.
#[derive(Default)]
pub struct Attempts {
    times: Mutex<HashMap<(Action, IpAddr), Micros>>,
}

const ADDRESSES_MAX: usize = 20_000;
/// In dev mode browser tests sign up by the dozen from one address.
const DEV_BURST_FACTOR: i64 = 100;

impl Attempts {
    /// Whether `action` may be tried once more from `ip` at `now`; counts the try.
    pub fn allow(&self, action: Action, ip: IpAddr, now: Micros, dev: bool) -> bool {
        let (every_us, burst) = action.rate();
        let burst = if dev { burst * DEV_BURST_FACTOR } else { burst };
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() >= ADDRESSES_MAX {
            times.retain(|_, time| *time > now);
        }
        let full = times.len() >= ADDRESSES_MAX;
        let key = (action, network(ip));
        let time = times.get(&key).copied().unwrap_or(now).max(now);
        if time.since(now) > every_us * (burst - 1) || (full && !times.contains_key(&key)) {
            return false;
        }
        times.insert(key, time.plus(every_us));
        true
    }
}

impl Action {
    /// Microseconds per try in the long run, and how many may come at once.
    const fn rate(self) -> (i64, i64) {
        match self {
            Self::SignIn => (6 * Micros::SECOND, 10),
            Self::SignUp => (30 * Micros::SECOND, 6),
            Self::Mail => (60 * Micros::SECOND, 5),
            Self::Link => (6 * Micros::SECOND, 20),
            Self::Checkout => (6 * Micros::SECOND, 20),
        }
    }
}

/// One household has a whole /64 of IPv6 addresses.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !0xffff_ffff_ffff_ffff)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(attempts: &Attempts, ip: &str, now: Micros, count: usize) -> usize {
        let ip: IpAddr = ip.parse().unwrap();
        (0..count)
            .filter(|_| attempts.allow(Action::SignIn, ip, now, false))
            .count()
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_try_per_interval() {
        let attempts = Attempts::default();
        let start = Micros::new(1_000_000_000);
        assert_eq!(tries(&attempts, "192.0.2.1", start, 50), 10);
        assert_eq!(tries(&attempts, "192.0.2.1", start.plus(6 * Micros::SECOND), 50), 1);
        assert_eq!(tries(&attempts, "192.0.2.2", start, 5), 5);
    }

    #[test]
    fn addresses_of_one_network_share_a_count() {
        let attempts = Attempts::default();
        let start = Micros::new(1_000_000_000);
        assert_eq!(tries(&attempts, "2001:db8::1", start, 50), 10);
        assert_eq!(tries(&attempts, "2001:db8::2", start, 50), 0);
        assert_eq!(tries(&attempts, "::ffff:192.0.2.7", start, 50), 10);
        assert_eq!(tries(&attempts, "192.0.2.7", start, 50), 0);
    }
}
