//! The command line.

use crate::catalog_sync::{self, BUILT_IN, SyncError};
use crate::checkout::{self, Checkout};
use crate::clock;
use crate::config::{Config, ConfigError};
use clap::{Args, Parser, Subcommand};
use domain::account::{CredentialError, Email, Password};
use domain::api_key::{ApiKey, KeyHash};
use domain::catalog::{Catalog, CatalogData};
use domain::id::{AccountId, UserId};
use serde_json::json;
use std::fmt::Display;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command as Process, ExitCode, Stdio};
use std::sync::Arc;
use store::ledger::{Difference, Proof};
use store::users::{self, NewUser};
use store::{Store, StoreError, Tx};
use tracing_subscriber::EnvFilter;

/// Tollway: one API for many model providers, with exact metering and prepaid credits.
///
/// Settings come from TOLLWAY_* variables, then from the configuration file, then from defaults.
#[derive(Parser)]
#[command(name = "tollway", version)]
struct Cli {
    /// A TOML file with settings [env: TOLLWAY_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the site and the API until a signal
    Serve,
    /// Bring the database schema up to date
    Migrate,
    /// Look at the catalog of models, or replace it
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Check the books
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Buying credits
    #[command(subcommand)]
    Payments(PaymentsCommand),
    /// Manage people
    #[command(subcommand)]
    User(UserCommand),
    /// Manage API keys
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(Subcommand)]
enum CatalogCommand {
    /// Merge a catalog file over the built-in catalog and store the result; running nodes take it within seconds
    ///
    /// The file is a JSON object with `providers`, `models` and `endpoints`, each optional. Entries replace those of the
    /// same slug or id. The result stays in use until the next import.
    Import(ImportArgs),
    /// Count what the stored catalog holds
    Stats {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
#[group(id = "source", required = true, multiple = false)]
struct Source {
    /// The file to import
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Return to the catalog this program brings along
    #[arg(long)]
    built_in: bool,
}

#[derive(Args)]
struct ImportArgs {
    #[command(flatten)]
    source: Source,
    /// Check and count only, change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Subcommand)]
enum LedgerCommand {
    /// Prove that every transfer sums to zero, every balance is the sum of its legs, and every charge has its reason
    ///
    /// Exits with 1 and the first difference when the books are wrong.
    Verify {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum PaymentsCommand {
    /// Ask the payment processor for everything its webhooks did not bring, now
    ///
    /// A running server does so by itself every minute.
    Reconcile,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Create an administrator, or make an existing person one
    ///
    /// The password is asked for; an existing person keeps theirs.
    CreateAdmin {
        #[arg(long, value_name = "ADDRESS")]
        email: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Revoke an API key for good
    Revoke {
        /// The key itself, or its SHA-256 hash as shown in lists
        #[arg(value_name = "HASH_OR_KEY")]
        key: String,
    },
}

#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Serve(#[from] crate::ServeError),
    #[error(transparent)]
    Catalog(#[from] SyncError),
    #[error("{0}{hint}", hint = schema_hint(.0))]
    Store(#[from] StoreError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("the password could not be hashed")]
    Hash,
    #[error("{0} is neither an API key nor the hash of one")]
    NotAKey(&'static str),
    #[error("no such key, or it was deleted before")]
    NoKey,
    #[error("the payment client cannot be made: {0}")]
    Checkout(#[from] checkout::StartError),
    #[error(transparent)]
    Reconcile(#[from] checkout::ReconcileError),
    #[error("the books are wrong: {0}")]
    Ledger(Difference),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Parses the command line and does what it says.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "tollway: {error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> Result<(), CliError> {
    let config = Config::load(cli.config.as_deref())?;
    start_log(&config);
    if matches!(cli.command, Command::Serve) {
        return Ok(crate::serve(config)?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(command(cli.command, &config))
}

async fn command(command: Command, config: &Config) -> Result<(), CliError> {
    let store = crate::connect(config).await?;
    let done = match command {
        Command::Serve => Ok(()),
        Command::Migrate => migrate(&store).await,
        Command::Catalog(CatalogCommand::Import(args)) => import(&store, config, args).await,
        Command::Catalog(CatalogCommand::Stats { json }) => stats(&store, json).await,
        Command::Ledger(LedgerCommand::Verify { json }) => verify(&store, json).await,
        Command::Payments(PaymentsCommand::Reconcile) => reconcile(&store, config).await,
        Command::User(UserCommand::CreateAdmin { email, password_stdin }) => {
            create_admin(&store, &email, password_stdin).await
        }
        Command::Key(KeyCommand::Revoke { key }) => revoke(&store, &key).await,
    };
    store.close().await;
    done
}

async fn migrate(store: &Store) -> Result<(), CliError> {
    store.migrate().await?;
    print("The database schema is up to date.")
}

async fn import(store: &Store, config: &Config, args: ImportArgs) -> Result<(), CliError> {
    let mut data = catalog_sync::configured(&config.catalog_files)?;
    let mut source = BUILT_IN.to_owned();
    if let Some(path) = args.source.file {
        data = catalog_sync::merge(data, catalog_sync::read(&path)?);
        source = format!("import:{}", path.display());
    }
    Catalog::new(0, data.clone()).map_err(SyncError::from)?;
    if args.dry_run {
        return print(format!(
            "The catalog is consistent: {}. Nothing was changed.",
            counts(&data)
        ));
    }
    store.migrate().await?;
    let mut tx = store.begin().await?;
    let version = catalog_sync::import(&mut tx, &data, &source).await?;
    tx.commit().await?;
    print(format!("Catalog version {version}: {}.", counts(&data)))
}

async fn stats(store: &Store, json: bool) -> Result<(), CliError> {
    let mut tx = store.read().await?;
    let (version, data) = store::catalog::load(&mut tx).await?;
    let source = store::catalog::source(&mut tx).await?;
    if !json {
        return print(format!("Catalog version {version} ({source}): {}.", counts(&data)));
    }
    print(json!({
        "version": version, "source": source, "providers": data.providers.len(), "models": data.models.len(),
        "endpoints": data.endpoints.len(),
    }))
}

fn counts(data: &CatalogData) -> String {
    let (providers, models, endpoints) = (data.providers.len(), data.models.len(), data.endpoints.len());
    format!("{providers} providers, {models} models, {endpoints} endpoints")
}

async fn verify(store: &Store, json: bool) -> Result<(), CliError> {
    let verdict = store::ledger::verify(&mut store.read().await?).await?;
    match verdict {
        Ok(proof) if json => print(proof_json(&proof)),
        Ok(proof) => print(proof_text(&proof)),
        Err(difference) => {
            if json {
                print(json!({"ok": false, "difference": difference.to_string()}))?;
            }
            Err(CliError::Ledger(difference))
        }
    }
}

async fn reconcile(store: &Store, config: &Config) -> Result<(), CliError> {
    let repaired = Checkout::new(config, store.clone(), Arc::default())?
        .reconcile()
        .await?;
    print(format!(
        "{} events, {} purchases and {} refunds were behind and were looked at.",
        repaired.events, repaired.purchases, repaired.refunds
    ))
}

fn proof_json(proof: &Proof) -> serde_json::Value {
    json!({
        "ok": true,
        "transfers": proof.transfers, "legs": proof.legs, "ledger_accounts": proof.ledger_accounts,
        "generations": proof.generations, "purchases_paid": proof.purchases_paid,
        "customer_total_nano": proof.customer_total, "escrow_total_nano": proof.escrow_total,
        "provider_total_nano": proof.provider_total, "processor_total_nano": proof.processor_total,
        "house_total_nano": proof.house_total, "promotions_total_nano": proof.promotions_total,
    })
}

fn proof_text(proof: &Proof) -> String {
    format!(
        "The books are right.\n\
         {} transfers with {} legs over {} ledger accounts: each transfer sums to zero, and so do all balances.\n\
         {} generations were charged what their usage costs; {} paid purchases were credited once.\n\
         Customers {}, escrow {}, providers {}, processors {}, house {}, promotions {}.",
        proof.transfers,
        proof.legs,
        proof.ledger_accounts,
        proof.generations,
        proof.purchases_paid,
        proof.customer_total,
        proof.escrow_total,
        proof.provider_total,
        proof.processor_total,
        proof.house_total,
        proof.promotions_total,
    )
}

async fn create_admin(store: &Store, email: &str, password_stdin: bool) -> Result<(), CliError> {
    let email = Email::parse(email)?;
    store.migrate().await?;
    let known = users::by_email(&mut store.read().await?, &email).await?;
    if let Some((user, _)) = known {
        let mut tx = store.begin().await?;
        users::set_admin(&mut tx, &user.id, true).await?;
        tx.commit().await?;
        return print(format!(
            "{} is an administrator now; the password is as it was.",
            email.as_str()
        ));
    }
    let password = Password::parse(&read_password(password_stdin)?)?;
    let hash = app::password::hash(&password, clock::random())
        .await
        .map_err(|_| CliError::Hash)?;
    let mut tx = store.begin().await?;
    insert_admin(&mut tx, &email, &hash).await?;
    tx.commit().await?;
    print(format!("{} can sign in as an administrator.", email.as_str()))
}

async fn insert_admin(tx: &mut Tx, email: &Email, password_hash: &str) -> Result<(), StoreError> {
    let (id, now) = (UserId::new(clock::random()), clock::now());
    let account = AccountId::new(clock::random());
    let user = NewUser {
        id: id.clone(),
        account,
        email,
        password_hash,
        created: now,
    };
    users::create(tx, &user).await?;
    users::set_admin(tx, &id, true).await?;
    // Whoever can run this command answers for the address.
    users::set_verified(tx, &id, now).await?;
    Ok(())
}

async fn revoke(store: &Store, text: &str) -> Result<(), CliError> {
    let hash = key_hash(text)?;
    let mut tx = store.begin().await?;
    if !store::keys::revoke(&mut tx, &hash, clock::now()).await? {
        return Err(CliError::NoKey);
    }
    tx.commit().await?;
    print(format!("Revoked {hash}. Running nodes refuse it within a second."))
}

fn key_hash(text: &str) -> Result<KeyHash, CliError> {
    let text = text.trim();
    if let Some(key) = ApiKey::parse(text) {
        return Ok(key.hash());
    }
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    // What was typed may be a key with a typing error, so it is not repeated.
    if is_hash {
        Ok(KeyHash::stored(text.to_ascii_lowercase()))
    } else {
        Err(CliError::NotAKey("this"))
    }
}

/// One line from standard input; from a terminal it is asked for and not shown.
fn read_password(from_stdin: bool) -> Result<String, CliError> {
    let stdin = std::io::stdin();
    let asks = !from_stdin && stdin.is_terminal();
    if asks {
        write!(std::io::stderr(), "Password: ")?;
        echo(false);
    }
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if asks {
        echo(true);
        writeln!(std::io::stderr())?;
    }
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Best effort: without `stty` the password is shown as it is typed.
fn echo(on: bool) {
    let _ = Process::new("stty")
        .arg(if on { "echo" } else { "-echo" })
        .stdin(Stdio::inherit())
        .status();
}

fn schema_hint(error: &StoreError) -> &'static str {
    match error {
        StoreError::Database(_) => ". Does the database have the current schema? `tollway migrate` brings it there",
        _ => "",
    }
}

fn print(text: impl Display) -> Result<(), CliError> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

fn start_log(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.log_json {
        true => builder.json().flatten_event(true).init(),
        false => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init(),
    }
    for name in &config.unknown {
        tracing::warn!(setting = name, "this variable is no setting of Tollway and is ignored");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_are_understood() {
        for line in [
            "serve",
            "migrate --config x.toml",
            "catalog import f.json --dry-run",
            "catalog import --built-in",
            "catalog stats --json",
            "ledger verify",
            "user create-admin --email a@b.c --password-stdin",
            "key revoke abc",
        ] {
            let words = std::iter::once("tollway").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
        assert!(Cli::try_parse_from(["tollway", "catalog", "import"]).is_err());
    }

    #[test]
    fn a_key_is_named_by_itself_or_its_hash() {
        let key = ApiKey::new(&[1; 32]);
        assert_eq!(key_hash(key.reveal()).unwrap(), key.hash());
        assert_eq!(key_hash(&key.hash().as_str().to_uppercase()).unwrap(), key.hash());
        let message = key_hash("sk-tw-v1-mistyped").unwrap_err().to_string();
        assert!(!message.contains("mistyped"), "{message}");
    }
}
