//! `tidings config`: prints, checks and explains the configuration.

use crate::cli::{ConfigArgs, ConfigCommand};
use crate::config::{Config, Settings, Sources, example, explain};
use crate::plain::plain_lines;
use crate::serve::check;
use tidings_chat::Database;

pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    match &args.command {
        None => print(&args.sources),
        Some(ConfigCommand::Print(sources)) => print(sources),
        Some(ConfigCommand::Check(sources)) => {
            let config = Config::load(sources)?;
            check(&config)?;
            let namespaces = config.settings.namespaces.len();
            println!("The configuration is good: {} namespaces, listening on {}.", namespaces, config.listen);
            if let Database::Postgres(options) = &config.storage.database {
                println!("Not connected to: {options}. Whether it lets the server in shows at the start.");
            }
            Ok(())
        }
        Some(ConfigCommand::Example) => {
            print!("{}", example());
            Ok(())
        }
        Some(ConfigCommand::Import { file }) => super::config_import::run(file),
        Some(ConfigCommand::Explain { key, sources }) => {
            print!("{}", plain_lines(&explain(key, &Config::load(sources)?.settings)?));
            Ok(())
        }
    }
}

fn print(sources: &Sources<Settings>) -> anyhow::Result<()> {
    print!("{}", plain_lines(&Config::load(sources)?.to_toml()));
    println!("# api key and token secret: redacted");
    Ok(())
}
