//! Lots: which credits a customer has, by where they came from. They change with every transfer that changes a customer's
//! credits, in the same statements, while the customer's ledger account is locked.

use crate::Ids;
use crate::column;
use crate::database::Tx;
use crate::error::{Result, StoreError};
use crate::ledger::{Book, LedgerError};
use domain::id::{AccountId, LotId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::lot::{self, Lot, LotKind, Part};
use domain::money::NanoUsd;
use domain::time::Micros;
use std::collections::{BTreeMap, BTreeSet};

/// How a transfer is to go through the lots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// Source of the lot to take from, or put back into, before all others.
    pub own: Option<String>,
    /// When the lot ends that it brings.
    pub expires: Option<Micros>,
}

/// Changes of lots that go with the transfers of one book.
#[derive(Default)]
pub(crate) struct Changes {
    /// One for all charges of an account, under the key of the first.
    charges: BTreeMap<AccountId, Change>,
    others: Vec<(AccountId, Change)>,
}

struct Change {
    /// Of the entries.
    key: String,
    amount: i128,
    at: Micros,
    how: How,
}

#[derive(Clone)]
enum How {
    Spend {
        own: Option<String>,
    },
    PutBack {
        own: Option<String>,
        overflow: LotId,
    },
    Bring {
        lot: LotId,
        kind: LotKind,
        expires: Option<Micros>,
    },
}

/// The lots of one account while they change.
#[derive(Default)]
struct Wallet {
    lots: Vec<Lot>,
    /// What remained when they were read; new ones are missing.
    before: BTreeMap<LotId, NanoUsd>,
    /// Customer and escrows together. Known only where credits grow.
    credits: NanoUsd,
}

struct Entry {
    part: Part,
    key: String,
    at: Micros,
}

/// Lots that expire in one call of [`expire`].
const EXPIRED_MAX: i64 = 200;

/// The account's lots in the order they are spent, those used up left out.
///
/// # Errors
/// Of the database only.
pub async fn open(tx: &mut Tx, account: &AccountId) -> Result<Vec<Lot>> {
    let mut lots = read_open(tx, &[account]).await?;
    lots.sort_by(lot::spending_order);
    Ok(lots)
}

/// The lot that the transfer with this idempotency key brought.
///
/// # Errors
/// Of the database only.
pub async fn by_source(tx: &mut Tx, source: &str) -> Result<Option<Lot>> {
    let row = fetch_optional!(
        LotRow,
        tx,
        "SELECT id, account_id, kind, source_key, amount_nano, remaining_nano, expires_us, created_us
         FROM lots WHERE source_key = $1",
        source,
    )?;
    row.map(LotRow::lot).transpose()
}

/// Takes away what remains in lots whose time is over: given credits go back to promotions, bought ones to the house.
/// What nodes hold for spending stays until it comes back. Gives the number of lots that shrank; call again when it is not
/// zero.
///
/// # Errors
/// Of the database only.
pub async fn expire(tx: &mut Tx, now: Micros, ids: &mut Ids<'_>) -> Result<u64, LedgerError> {
    let due = fetch_all!(
        (String,),
        tx,
        "SELECT DISTINCT l.account_id FROM lots l JOIN ledger_accounts a ON a.id = 'customer:' || l.account_id
         WHERE l.expires_us <= $1 AND l.remaining_nano > 0 AND a.balance_nano > 0 ORDER BY 1 LIMIT $2",
        now.get(),
        EXPIRED_MAX,
    )?;
    if due.is_empty() {
        return Ok(0);
    }
    let accounts: Vec<AccountId> = due.into_iter().map(|(account,)| AccountId::stored(account)).collect();
    let mut book = Book::default();
    for account in &accounts {
        book.include(LedgerAccount::Customer(account.clone()));
    }
    book.include(LedgerAccount::Promotions);
    book.include(LedgerAccount::Fees);
    let balances = book.lock(tx).await?;
    let mut lots = read_open(tx, &accounts.iter().collect::<Vec<_>>()).await?;
    lots.retain(|lot| lot.expires.is_some_and(|expires| expires <= now));
    lots.sort_by(lot::spending_order);
    let mut expired: u64 = 0;
    for lot in lots {
        let customer = LedgerAccount::Customer(lot.account.clone());
        let amount = lot.remaining.min(book.balance_after(&balances, &customer));
        if amount.is_positive() {
            expired = expired.saturating_add(1);
            let wish = Wish {
                own: Some(lot.source.clone()),
                expires: None,
            };
            book.add_with(expiry_of(&lot, amount, ids, now), &wish);
        }
    }
    book.write(tx).await?;
    Ok(expired)
}

impl Changes {
    pub(crate) fn add(&mut self, transfer: &Transfer, wish: &Wish) {
        for (account, amount) in transfer.credit_changes() {
            if transfer.kind == TransferKind::Charge {
                self.charge(account, amount, transfer);
                continue;
            }
            let how = how(transfer, amount, wish);
            let change = Change {
                key: transfer.idempotency_key.clone(),
                amount,
                at: transfer.created,
                how,
            };
            self.others.push((account.clone(), change));
        }
    }

    fn charge(&mut self, account: &AccountId, amount: i128, transfer: &Transfer) {
        if let Some(change) = self.charges.get_mut(account) {
            change.amount = change.amount.saturating_add(amount);
            return;
        }
        let key = &transfer.idempotency_key;
        let change = Change {
            key: format!("settle:{}", key.strip_prefix("charge:").unwrap_or(key)),
            amount,
            at: transfer.created,
            how: How::Spend { own: None },
        };
        self.charges.insert(account.clone(), change);
    }

    /// Writes the changes. Call before the balances move.
    pub(crate) async fn apply(&self, tx: &mut Tx) -> Result<()> {
        let charges = self.charges.iter();
        let changes: Vec<(&AccountId, &Change)> = charges
            .chain(self.others.iter().map(|(account, change)| (account, change)))
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        let mut wallets = wallets(tx, &changes).await?;
        let mut entries = Vec::new();
        for (account, change) in changes {
            let wallet = wallets.entry(account.clone()).or_default();
            wallet.change(account, change, &mut entries)?;
        }
        write(tx, &wallets, &entries).await
    }
}

impl Wallet {
    fn change(&mut self, account: &AccountId, change: &Change, entries: &mut Vec<Entry>) -> Result<()> {
        let amount = i64::try_from(change.amount)
            .map(NanoUsd::new)
            .map_err(|_| StoreError::corrupt("a sum of transfers"))?;
        let grown = lot::growth(self.credits, amount);
        let parts = match &change.how {
            How::Spend { own } => lot::spend(&mut self.lots, amount.negated(), own.as_deref()),
            How::Bring { lot, kind, expires } => self.bring(account, change, (lot, *kind, *expires), amount, grown),
            How::PutBack { own, overflow } => {
                let (mut parts, rest) = lot::put_back(&mut self.lots, grown, own.as_deref(), change.at);
                if rest.is_positive() {
                    parts.extend(self.bring(account, change, (overflow, LotKind::Promotional, None), rest, rest));
                }
                parts
            }
        };
        self.credits = self.credits.saturating_add(amount);
        entries.extend(parts.into_iter().map(|part| Entry {
            part,
            key: change.key.clone(),
            at: change.at,
        }));
        Ok(())
    }

    /// A new lot of `amount` of which `remaining` is left: the rest paid a debt.
    fn bring(
        &mut self,
        account: &AccountId,
        change: &Change,
        (lot, kind, expires): (&LotId, LotKind, Option<Micros>),
        amount: NanoUsd,
        remaining: NanoUsd,
    ) -> Vec<Part> {
        self.lots.push(Lot {
            id: lot.clone(),
            account: account.clone(),
            kind,
            source: change.key.clone(),
            amount,
            remaining,
            expires,
            created: change.at,
        });
        let debt = amount.saturating_sub(remaining);
        let part = Part {
            lot: lot.clone(),
            amount: debt.negated(),
        };
        debt.is_positive().then_some(part).into_iter().collect()
    }
}

fn how(transfer: &Transfer, amount: i128, wish: &Wish) -> How {
    let kind = match transfer.kind {
        TransferKind::Purchase => Some(LotKind::Paid),
        TransferKind::Grant => Some(LotKind::Promotional),
        _ => None,
    };
    match kind {
        _ if amount < 0 => How::Spend { own: wish.own.clone() },
        Some(kind) => How::Bring {
            lot: LotId::of(&transfer.id),
            kind,
            expires: wish.expires,
        },
        None => How::PutBack {
            own: wish.own.clone(),
            overflow: LotId::of(&transfer.id),
        },
    }
}

async fn wallets(tx: &mut Tx, changes: &[(&AccountId, &Change)]) -> Result<BTreeMap<AccountId, Wallet>> {
    let growing: BTreeSet<&AccountId> = changes
        .iter()
        .filter(|(_, change)| change.amount > 0)
        .map(|(account, _)| *account)
        .collect();
    let shrinking: BTreeSet<&AccountId> = changes
        .iter()
        .map(|(account, _)| *account)
        .filter(|account| !growing.contains(account))
        .collect();
    let growing: Vec<&AccountId> = growing.into_iter().collect();
    let shrinking: Vec<&AccountId> = shrinking.into_iter().collect();
    let mut lots = read_open(tx, &shrinking).await?;
    lots.extend(read_all(tx, &growing).await?);
    let mut wallets: BTreeMap<AccountId, Wallet> = BTreeMap::new();
    for lot in lots {
        let wallet = wallets.entry(lot.account.clone()).or_default();
        wallet.before.insert(lot.id.clone(), lot.remaining);
        wallet.lots.push(lot);
    }
    for (account, credits) in credits(tx, &growing).await? {
        wallets.entry(account).or_default().credits = credits;
    }
    Ok(wallets)
}

/// Customer and escrow accounts together. The customer's is locked, and none of the others moves without it.
async fn credits(tx: &mut Tx, accounts: &[&AccountId]) -> Result<Vec<(AccountId, NanoUsd)>> {
    let rows = fetch_rows!(
        (String, i64),
        tx,
        accounts,
        "SELECT account_id, CAST(SUM(balance_nano) AS BIGINT) FROM ledger_accounts
         WHERE kind IN ('customer', 'escrow') AND account_id IN (",
        |account| [account.as_str()],
        ") GROUP BY account_id",
        ") GROUP BY account_id"
    )?;
    Ok(rows
        .into_iter()
        .map(|(account, credits)| (AccountId::stored(account), NanoUsd::new(credits)))
        .collect())
}

async fn read_open(tx: &mut Tx, accounts: &[&AccountId]) -> Result<Vec<Lot>> {
    let rows = fetch_rows!(
        LotRow,
        tx,
        accounts,
        "SELECT id, account_id, kind, source_key, amount_nano, remaining_nano, expires_us, created_us
         FROM lots WHERE remaining_nano > 0 AND account_id IN (",
        |account| [account.as_str()],
        ")",
        ")"
    )?;
    rows.into_iter().map(LotRow::lot).collect()
}

async fn read_all(tx: &mut Tx, accounts: &[&AccountId]) -> Result<Vec<Lot>> {
    let rows = fetch_rows!(
        LotRow,
        tx,
        accounts,
        "SELECT id, account_id, kind, source_key, amount_nano, remaining_nano, expires_us, created_us
         FROM lots WHERE account_id IN (",
        |account| [account.as_str()],
        ")",
        ")"
    )?;
    rows.into_iter().map(LotRow::lot).collect()
}

async fn write(tx: &mut Tx, wallets: &BTreeMap<AccountId, Wallet>, entries: &[Entry]) -> Result<()> {
    let lots = || {
        wallets
            .values()
            .flat_map(|wallet| wallet.lots.iter().map(move |lot| (wallet, lot)))
    };
    let new: Vec<&Lot> = lots()
        .filter(|(wallet, lot)| !wallet.before.contains_key(&lot.id))
        .map(|(_, lot)| lot)
        .collect();
    let changed: Vec<&Lot> = lots()
        .filter(|(wallet, lot)| {
            wallet
                .before
                .get(&lot.id)
                .is_some_and(|before| *before != lot.remaining)
        })
        .map(|(_, lot)| lot)
        .collect();
    execute_rows!(
        tx,
        &changed,
        "UPDATE lots SET remaining_nano = v.column2 FROM (",
        |lot| [lot.id.as_str(), lot.remaining.get()],
        ") AS v WHERE id = v.column1"
    )?;
    execute_rows!(
        tx,
        &new,
        "INSERT INTO lots (id, account_id, kind, source_key, amount_nano, remaining_nano, expires_us, created_us) ",
        |lot| [
            lot.id.as_str(),
            lot.account.as_str(),
            lot.kind.name(),
            lot.source.as_str(),
            lot.amount.get(),
            lot.remaining.get(),
            lot.expires.map(Micros::get),
            lot.created.get(),
        ],
        ""
    )?;
    execute_rows!(
        tx,
        entries,
        "INSERT INTO lot_entries (lot_id, key, amount_nano, created_us) ",
        |entry| [
            entry.part.lot.as_str(),
            entry.key.as_str(),
            entry.part.amount.get(),
            entry.at.get()
        ],
        ""
    )?;
    Ok(())
}

/// Under the id of the transfer: what a node gives back later expires in another transfer.
fn expiry_of(lot: &Lot, amount: NanoUsd, ids: &mut Ids<'_>, now: Micros) -> Transfer {
    let id = ids();
    let to = match lot.kind {
        LotKind::Promotional => LedgerAccount::Promotions,
        LotKind::Paid => LedgerAccount::Fees,
    };
    Transfer {
        kind: TransferKind::Expiry,
        idempotency_key: format!("expiry:{}:{id}", lot.id),
        legs: legs(LedgerAccount::Customer(lot.account.clone()), to, amount),
        created: now,
        id,
    }
}

#[derive(sqlx::FromRow)]
struct LotRow {
    id: String,
    account_id: String,
    kind: String,
    source_key: String,
    amount_nano: i64,
    remaining_nano: i64,
    expires_us: Option<i64>,
    created_us: i64,
}

impl LotRow {
    fn lot(self) -> Result<Lot> {
        Ok(Lot {
            id: LotId::stored(self.id),
            account: AccountId::stored(self.account_id),
            kind: column::word(&self.kind, LotKind::parse)?,
            source: self.source_key,
            amount: NanoUsd::new(self.amount_nano),
            remaining: NanoUsd::new(self.remaining_nano),
            expires: column::micros(self.expires_us),
            created: Micros::new(self.created_us),
        })
    }
}
