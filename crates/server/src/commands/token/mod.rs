//! `tidings token`: prints a client token, and nothing else, so that a script can use it.

mod explain;

use crate::cli::{TokenArgs, TokenCommand};
use crate::config::Config;
use crate::secrets::TOKEN_SECRET;
use crate::tokens::{Order, Signer};
use anyhow::{Context, ensure};
use serde_json::{Map, Value};
use std::time::Duration;

pub(crate) async fn run(args: TokenArgs) -> anyhow::Result<()> {
    if let Some(TokenCommand::Explain { common, token }) = args.command {
        return explain::run(&common, token).await;
    }
    let user = args.user.clone().unwrap_or_default();
    ensure!(!user.is_empty(), "--user must not be empty");
    let signer = match (&args.key, &args.algorithm) {
        (Some(path), Some(algorithm)) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read --key {}", path.display()))?;
            let algorithm = algorithm.parse().ok().with_context(|| {
                format!("--algorithm {algorithm} is none of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA")
            })?;
            Signer::with_key(&text, algorithm, args.kid.clone()).with_context(|| format!("--key {}", path.display()))?
        }
        _ => {
            let config = Config::load_beside(&args.common)?;
            let secret = TOKEN_SECRET.load(&config.storage.data_dir, config.secret_bytes_min())?;
            Signer::own(&secret, config.token_parties())
        }
    };
    let ttl = (args.ttl > 0).then(|| Duration::from_secs(args.ttl));
    let order = Order { user, channel: args.channel.clone(), ttl, more: claims(args)? };
    println!("{}", signer.sign(order)?);
    Ok(())
}

/// Those beside the user, the channel and the end.
fn claims(args: TokenArgs) -> anyhow::Result<Map<String, Value>> {
    let json = |flag: &str, text: Option<String>| -> anyhow::Result<Option<Value>> {
        let parse = |text: String| {
            serde_json::from_str(&text)
                .with_context(|| format!("--{flag} must be JSON; a text needs its quotes, such as '\"Ana\"'"))
        };
        text.map(parse).transpose()
    };
    let list = |names: Vec<String>| (!names.is_empty()).then(|| Value::from(names));
    let claims = [
        ("info", json("info", args.info)?),
        ("meta", json("meta", args.meta)?),
        ("channels", list(args.channels)),
        ("subs", json("subs", args.subs)?),
        ("caps", json("caps", args.caps)?),
        ("allow", list(args.allow)),
        ("override", json("override", args.overrides)?),
        ("expire_at", args.expire_at.map(Value::from)),
        ("aud", args.aud.map(Value::from)),
        ("iss", args.iss.map(Value::from)),
        ("jti", args.jti.map(Value::from)),
    ];
    let given = claims.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Ok(given.collect())
}
