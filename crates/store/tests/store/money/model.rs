//! The rules of the ledger once more, for one account, in plain numbers: what the store is compared with.

use domain::purchase::{DisputeStatus, RefundState};

pub const NODES: usize = 2;
pub const KEY_LIMIT: i64 = 400;
pub const BUDGET: i64 = 600;

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub customer: i64,
    pub escrow: [i64; NODES],
    pub frozen: i64,
    pub lots: Vec<ModelLot>,
    pub purchases: Vec<ModelPurchase>,
    pub refunds: Vec<ModelRefund>,
    pub fenced: [bool; NODES],
    /// Of the key and of the account.
    pub limits: [Limit; 2],
    /// What others than the customer hold or owe.
    pub house: House,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct House {
    pub clearing: i64,
    pub fees: i64,
    pub costs: i64,
    pub provider: i64,
    pub house: i64,
    pub promotions: i64,
}

#[derive(Clone, Debug)]
pub struct ModelLot {
    pub source: String,
    pub is_paid: bool,
    pub amount: i64,
    pub remaining: i64,
    pub expires: Option<i64>,
    pub created: i64,
}

#[derive(Clone, Debug)]
pub struct ModelPurchase {
    pub source: String,
    pub amount: i64,
    pub fee: i64,
    pub is_paid: bool,
    pub refunded: i64,
    pub made_refunds: i64,
    pub warned: bool,
    pub held: i64,
    pub dispute: Option<ModelDispute>,
}

#[derive(Clone, Debug)]
pub struct ModelDispute {
    pub status: DisputeStatus,
    pub frozen: bool,
    pub withdrawn: bool,
    pub reinstated: bool,
    pub released: bool,
}

#[derive(Clone, Debug)]
pub struct ModelRefund {
    pub purchase: usize,
    pub amount: i64,
    pub state: RefundState,
    pub is_ours: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Limit {
    pub used: i64,
    pub leased: [i64; NODES],
}

/// Where a change of credits goes first.
#[derive(Clone, Copy)]
enum Way<'a> {
    Own(&'a str),
    Any,
}

impl Model {
    pub fn credits(&self) -> i64 {
        self.customer + self.escrow.iter().sum::<i64>()
    }

    pub fn grant(&mut self, source: &str, amount: i64, expires: Option<i64>, now: i64) {
        self.bring(source, false, amount, expires, now);
        self.house.promotions -= amount;
    }

    pub fn pay(&mut self, index: usize, now: i64) {
        let purchase = self.purchases[index].clone();
        if purchase.is_paid {
            return;
        }
        self.purchases[index].is_paid = true;
        self.bring(&purchase.source, true, purchase.amount, None, now);
        self.house.clearing -= purchase.amount + purchase.fee;
        self.house.fees += purchase.fee;
    }

    pub fn lease(&mut self, node: usize, amount: i64) -> bool {
        let fits = self.customer >= amount;
        if fits {
            self.customer -= amount;
            self.escrow[node] += amount;
        }
        fits
    }

    pub fn give_back(&mut self, node: usize, amount: i64) -> bool {
        let fits = self.escrow[node] >= amount;
        if fits {
            self.customer += amount;
            self.escrow[node] -= amount;
        }
        fits
    }

    /// Costs of generations, and what failed ones cost the house.
    pub fn settle(&mut self, node: usize, costs: &[(i64, bool)]) {
        let mut left = i64::MAX;
        if self.fenced[node] {
            left = self.escrow[node] + self.customer.max(0);
        }
        let mut total = 0;
        for (cost, failed) in costs {
            let charged = if *failed { 0 } else { (*cost).min(left) };
            left -= charged;
            total += charged;
            self.house.provider += cost;
            self.house.house -= cost - charged;
        }
        for limit in &mut self.limits {
            limit.used += total;
            limit.leased[node] -= total.min(limit.leased[node]);
        }
        self.escrow[node] -= total;
        if self.escrow[node] < 0 {
            self.customer += self.escrow[node];
            self.escrow[node] = 0;
        }
        self.take(total, Way::Any);
    }

    pub fn refundable(&self, index: usize) -> i64 {
        let purchase = &self.purchases[index];
        let disputed = purchase.dispute.as_ref().is_some_and(|d| d.frozen && !d.released);
        if !purchase.is_paid || disputed {
            return 0;
        }
        let left = purchase.amount - purchase.refunded;
        self.in_lot(&purchase.source).min(self.customer).min(left).max(0)
    }

    pub fn request_refund(&mut self, index: usize, amount: i64) -> bool {
        if !self.purchases[index].is_paid || amount > self.refundable(index) {
            return false;
        }
        self.freeze(index, amount);
        self.purchases[index].refunded += amount;
        self.refunds.push(ModelRefund {
            purchase: index,
            amount,
            state: RefundState::Requested,
            is_ours: true,
        });
        true
    }

    /// A refund that the processor made without us.
    pub fn made_refund(&mut self, index: usize, amount: i64, state: RefundState, now: i64) {
        self.refunds.push(ModelRefund {
            purchase: index,
            amount,
            state,
            is_ours: false,
        });
        if state == RefundState::Failed {
            return;
        }
        self.purchases[index].refunded += amount;
        self.purchases[index].made_refunds += 1;
        self.let_go(index, now);
        self.freeze(index, amount);
        if state == RefundState::Succeeded {
            self.frozen -= amount;
            self.house.clearing += amount;
        }
    }

    pub fn see_refund(&mut self, at: usize, state: RefundState, now: i64) {
        let refund = self.refunds[at].clone();
        if state <= refund.state {
            return;
        }
        self.refunds[at].state = state;
        let was_paid = refund.state == RefundState::Succeeded;
        match state {
            RefundState::Succeeded => {
                self.frozen -= refund.amount;
                self.house.clearing += refund.amount;
            }
            RefundState::Failed => {
                if was_paid {
                    self.frozen += refund.amount;
                    self.house.clearing -= refund.amount;
                }
                self.purchases[refund.purchase].refunded -= refund.amount;
                self.purchases[refund.purchase].made_refunds -= i64::from(!refund.is_ours);
                self.release(refund.purchase, refund.amount, now);
            }
            RefundState::Requested | RefundState::Sent => {}
        }
    }

    pub fn see_dispute(&mut self, index: usize, status: DisputeStatus, withdrawn: bool, reinstated: bool, now: i64) {
        let amount = self.purchases[index].amount + self.purchases[index].fee;
        let mut dispute = self.purchases[index].dispute.clone().unwrap_or(ModelDispute {
            status,
            frozen: false,
            withdrawn: false,
            reinstated: false,
            released: false,
        });
        dispute.status = dispute.status.max(status);
        let fights = [
            DisputeStatus::NeedsResponse,
            DisputeStatus::UnderReview,
            DisputeStatus::Lost,
        ];
        if !dispute.frozen && (withdrawn || reinstated || fights.contains(&dispute.status)) {
            dispute.frozen = true;
            self.let_go(index, now);
            self.freeze(index, amount);
        }
        if dispute.released && !dispute.withdrawn && withdrawn && !reinstated {
            dispute.released = false;
            self.freeze(index, amount);
        }
        if !dispute.withdrawn && (withdrawn || reinstated) {
            dispute.withdrawn = true;
            self.frozen -= amount;
            self.house.clearing += amount + DISPUTE_FEE;
            self.house.costs -= DISPUTE_FEE;
        }
        if !dispute.reinstated && reinstated {
            dispute.reinstated = true;
            self.frozen += amount;
            self.house.clearing -= amount;
        }
        let is_good = [DisputeStatus::Won, DisputeStatus::WarningClosed].contains(&dispute.status);
        if dispute.frozen && !dispute.released && is_good && dispute.withdrawn == dispute.reinstated {
            dispute.released = true;
            self.release(index, amount, now);
        }
        self.purchases[index].dispute = Some(dispute);
    }

    pub fn warn(&mut self, index: usize) {
        let purchase = self.purchases[index].clone();
        if purchase.warned {
            return;
        }
        self.purchases[index].warned = true;
        let has_come_true = purchase.made_refunds > 0 || purchase.dispute.is_some_and(|dispute| dispute.frozen);
        let held = self.in_lot(&purchase.source).min(self.customer).max(0);
        if !has_come_true && held > 0 {
            self.purchases[index].held = held;
            self.freeze(index, held);
        }
    }

    pub fn let_go(&mut self, index: usize, now: i64) -> bool {
        let held = std::mem::take(&mut self.purchases[index].held);
        if held > 0 {
            self.release(index, held, now);
        }
        held > 0
    }

    pub fn expire(&mut self, now: i64) {
        let mut due: Vec<usize> = (0..self.lots.len())
            .filter(|at| self.lots[*at].expires.is_some_and(|expires| expires <= now))
            .collect();
        due.sort_by_key(|at| self.lots[*at].age());
        for at in due {
            let amount = self.lots[at].remaining.min(self.customer);
            if amount > 0 {
                self.lots[at].remaining -= amount;
                self.customer -= amount;
                self.house.promotions += amount;
            }
        }
    }

    pub fn fence(&mut self, node: usize) {
        self.fenced[node] = true;
        self.customer += std::mem::take(&mut self.escrow[node]);
        for limit in &mut self.limits {
            limit.leased[node] = 0;
        }
    }

    pub fn lease_limit(&mut self, which: usize, node: usize, amount: i64) -> bool {
        let fits = self.left_of(which) >= amount;
        if fits {
            self.limits[which].leased[node] += amount;
        }
        fits
    }

    pub fn left_of(&self, which: usize) -> i64 {
        let limit = &self.limits[which];
        [KEY_LIMIT, BUDGET][which] - limit.used - limit.leased.iter().sum::<i64>()
    }

    pub fn return_limit(&mut self, which: usize, node: usize, amount: i64) {
        let leased = &mut self.limits[which].leased[node];
        *leased -= amount.min(*leased);
    }

    pub fn write_off(&mut self, amount: i64) -> bool {
        let fits = amount <= -self.credits();
        if fits {
            self.customer += amount;
            self.house.house -= amount;
        }
        fits
    }

    /// Sources and remainders of what is left, in the order it is spent.
    pub fn open_lots(&self) -> Vec<(String, i64)> {
        let mut open: Vec<&ModelLot> = self.lots.iter().filter(|lot| lot.remaining > 0).collect();
        open.sort_by_key(|lot| lot.age());
        open.iter().map(|lot| (lot.source.clone(), lot.remaining)).collect()
    }

    fn in_lot(&self, source: &str) -> i64 {
        self.lots
            .iter()
            .find(|lot| lot.source == source)
            .map_or(0, |lot| lot.remaining)
    }

    fn freeze(&mut self, index: usize, amount: i64) {
        let purchase = self.purchases[index].clone();
        let credits = amount.min(purchase.amount);
        self.customer -= credits;
        self.house.fees -= amount - credits;
        self.frozen += amount;
        self.take(credits, Way::Own(&purchase.source));
    }

    fn release(&mut self, index: usize, amount: i64, now: i64) {
        let purchase = self.purchases[index].clone();
        let credits = amount.min(purchase.amount);
        let before = self.credits().max(0);
        self.customer += credits;
        self.house.fees += amount - credits;
        self.frozen -= amount;
        let grown = self.credits().max(0) - before;
        self.put(grown, &purchase.source, now);
    }

    fn bring(&mut self, source: &str, is_paid: bool, amount: i64, expires: Option<i64>, created: i64) {
        let before = self.credits().max(0);
        self.customer += amount;
        self.lots.push(ModelLot {
            source: source.to_owned(),
            is_paid,
            amount,
            remaining: self.credits().max(0) - before,
            expires,
            created,
        });
    }

    fn take(&mut self, amount: i64, way: Way<'_>) {
        for _ in 0..amount {
            let open = self.lots.iter_mut().filter(|lot| lot.remaining > 0);
            let Some(lot) = open.min_by_key(|lot| (way.is_not(lot), lot.age())) else {
                return;
            };
            lot.remaining -= 1;
        }
    }

    /// What finds no room, because the house paid a debt meanwhile, is a gift.
    fn put(&mut self, amount: i64, source: &str, now: i64) {
        let mut rest = amount;
        while rest > 0 {
            let room = self.lots.iter_mut().filter(|lot| lot.remaining < lot.amount);
            let last = room.min_by_key(|lot| {
                let has_expired = lot.expires.is_some_and(|expires| expires <= now);
                (Way::Own(source).is_not(lot), has_expired, std::cmp::Reverse(lot.age()))
            });
            let Some(last) = last else { break };
            last.remaining += 1;
            rest -= 1;
        }
        if rest > 0 {
            self.lots.push(ModelLot {
                source: GIFT.to_owned(),
                is_paid: false,
                amount: rest,
                remaining: rest,
                expires: None,
                created: now,
            });
        }
    }
}

/// Source of a lot that neither a purchase nor a grant brought.
pub const GIFT: &str = "gift";
/// What the processor asks for a dispute.
pub const DISPUTE_FEE: i64 = 15;

impl ModelLot {
    fn age(&self) -> (bool, i64, i64) {
        let end = if self.is_paid { None } else { self.expires };
        (self.is_paid, end.unwrap_or(i64::MAX), self.created)
    }
}

impl Way<'_> {
    fn is_not(self, lot: &ModelLot) -> bool {
        match self {
            Self::Own(source) => lot.source != source,
            Self::Any => true,
        }
    }
}
