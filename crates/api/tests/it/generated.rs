//! The generator: `TIDINGS_GENERATE=1 cargo test -p tidings-api` writes what a test otherwise compares.

use prost_build::Config;
use protox::prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use protox::prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const PACKAGE: &str = ".tidings.api";

/// Fields that JSON has also when they are zero: programs that read them do not expect them to be missing.
const ALWAYS: [&str; 35] = [
    "Error.code",
    "Error.message",
    "BatchResponse.replies",
    "BroadcastResult.responses",
    "PublishPatternResult.num_channels",
    "ClientInfo.user",
    "ClientInfo.client",
    "PresenceResult.presence",
    "PresenceStatsResult.num_clients",
    "PresenceStatsResult.num_users",
    "HistoryResult.publications",
    "HistoryResult.epoch",
    "HistoryResult.offset",
    "Publication.data",
    "ChannelsResult.channels",
    "ChannelInfo.num_clients",
    "ConnectionsResult.connections",
    "ConnectionInfo.transport",
    "ConnectionInfo.protocol",
    "UserStatusResult.statuses",
    "UserStatus.user",
    "UserStatus.num_clients",
    "BlockedResult.denials",
    "ReloadResult.changed",
    "ReloadResult.at_next_start",
    "InfoResult.nodes",
    "NodeResult.uid",
    "NodeResult.name",
    "NodeResult.version",
    "NodeResult.num_clients",
    "NodeResult.num_users",
    "NodeResult.num_channels",
    "NodeResult.num_subs",
    "NodeResult.uptime",
    "BoolValue.value",
];

/// Fields whose JSON may be `null`, which is a value to be passed on.
const NULLABLE: [&str; 4] =
    ["PublishRequest.data", "BroadcastRequest.data", "PublishPatternRequest.data", "RPCRequest.params"];

#[test]
fn what_is_checked_in_is_what_the_proto_file_says() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = compile(crate_dir);
    for (path, text) in [
        ("src/generated.rs", format!("{}\n{}", messages(&files), methods(file(&files)))),
        ("openapi.json", format!("{:#}\n", sorted(openapi(file(&files))))),
    ] {
        let path = crate_dir.join(path);
        if std::env::var_os("TIDINGS_GENERATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).is_ok_and(|known| known == text),
            "{} is out of date: TIDINGS_GENERATE=1 cargo test -p tidings-api writes it",
            path.display()
        );
    }
}

fn compile(crate_dir: &Path) -> FileDescriptorSet {
    let mut compiler = protox::Compiler::new([crate_dir.join("proto")]).unwrap();
    compiler.include_source_info(true).open_file("server_api.proto").unwrap();
    compiler.file_descriptor_set()
}

fn file(files: &FileDescriptorSet) -> &FileDescriptorProto {
    files.file.last().unwrap()
}

/// The messages in Rust, with how each field stands in JSON.
fn messages(files: &FileDescriptorSet) -> String {
    let mut config = Config::new();
    config.bytes(["."]).btree_map(["."]);
    for message in &file(files).message_type {
        let path = format!("{PACKAGE}.{}", message.name());
        config.message_attribute(&path, "#[derive(serde::Serialize, serde::Deserialize)]");
        config.message_attribute(&path, "#[serde(default)]");
        for field in &message.field {
            let name = format!("{}.{}", message.name(), field.name());
            let mut attributes = vec![match field.r#type() {
                Type::Bytes if NULLABLE.contains(&&*name) => "deserialize_with = \"crate::json::value\"",
                Type::Bytes => "deserialize_with = \"crate::json::value_or_null\"",
                Type::Message if is_map_of_texts(message, field) => "deserialize_with = \"crate::json::texts\"",
                _ => "deserialize_with = \"crate::json::null_is_absent\"",
            }];
            if field.r#type() == Type::Bytes {
                attributes.push("serialize_with = \"crate::json::raw\"");
            }
            if !ALWAYS.contains(&&*name) {
                attributes.push("skip_serializing_if = \"crate::json::is_zero\"");
            }
            config.field_attribute(format!("{path}.{}", field.name()), format!("#[serde({})]", attributes.join(", ")));
        }
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("generated-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    config.out_dir(&folder).compile_fds(files.clone()).unwrap();
    let text = std::fs::read_to_string(folder.join("tidings.api.rs")).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    text
}

/// A macro that calls another with the list of all methods: the name, that of gRPC, the variant, request, response, result.
fn methods(file: &FileDescriptorProto) -> String {
    let mut text = String::from(
        "/// Calls a macro with every method but `batch`: its name, that of gRPC, its variant, request, response and result.\n\
         #[macro_export]\nmacro_rules! each_method {\n    ($callback:ident) => {\n        $callback! {\n",
    );
    for method in service(file).method.iter().filter(|method| method.name() != "Batch") {
        let name = method.name();
        let variant = if name == "RPC" { "Rpc" } else { name };
        writeln!(
            text,
            "            {} \"{name}\" {variant} {variant}Request {variant}Response {variant}Result;",
            snake(name)
        )
        .unwrap();
    }
    text + "        }\n    };\n}\n"
}

fn service(file: &FileDescriptorProto) -> &ServiceDescriptorProto {
    file.service.first().unwrap()
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    let mut was_upper = true;
    for c in name.chars() {
        if c.is_ascii_uppercase() && !was_upper {
            snake.push('_');
        }
        was_upper = c.is_ascii_uppercase();
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// The JSON API in the words of OpenAPI.
fn openapi(file: &FileDescriptorProto) -> Value {
    let comments = Comments::of(file);
    let paths: Map<_, _> = service(file)
        .method
        .iter()
        .enumerate()
        .map(|(n, method)| {
            let content = |kind: &str| json!({"application/json": {"schema": {"$ref": reference(kind)}}});
            let operation = json!({
                "operationId": snake(method.name()),
                "summary": comments.at(&[6, 0, 2, i32::try_from(n).unwrap()]),
                "requestBody": {"required": true, "content": content(method.input_type())},
                "responses": {
                    "200": {"description": "What came of it: a result, or an error.", "content": content(method.output_type())},
                    "400": {"description": "The body is not what the method takes."},
                    "401": {"description": "There is no key, or a wrong one."},
                    "413": {"description": "The body is too large."},
                },
            });
            (format!("/api/{}", snake(method.name())), json!({"post": operation}))
        })
        .collect();
    let schemas: Map<_, _> = file
        .message_type
        .iter()
        .enumerate()
        .map(|(n, message)| (message.name().to_owned(), schema(message, &comments, i32::try_from(n).unwrap())))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidings, the server API",
            "description": "What an application's backend asks of the server. The same messages travel over gRPC; see server_api.proto.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "security": [{"key": []}, {"authorization": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "authorization": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "apikey KEY"},
            },
        },
    })
}

/// In one order, whatever else serde_json is built for.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            fields.into_iter().collect()
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        other => other,
    }
}

fn schema(message: &DescriptorProto, comments: &Comments, number: i32) -> Value {
    let properties: Map<_, _> = message
        .field
        .iter()
        .enumerate()
        .map(|(n, field)| {
            let mut schema = field_schema(message, field);
            if let Some(text) = comments.at(&[4, number, 2, i32::try_from(n).unwrap()]) {
                schema["description"] = text.into();
            }
            (field.name().to_owned(), schema)
        })
        .collect();
    let mut schema = json!({"type": "object", "properties": properties});
    let always = |field: &&FieldDescriptorProto| ALWAYS.contains(&&*format!("{}.{}", message.name(), field.name()));
    let required: Vec<_> = message.field.iter().filter(always).map(FieldDescriptorProto::name).collect();
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    if let Some(text) = comments.at(&[4, number]) {
        schema["description"] = text.into();
    }
    schema
}

fn field_schema(message: &DescriptorProto, field: &FieldDescriptorProto) -> Value {
    let one = match field.r#type() {
        Type::String => json!({"type": "string"}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Double => json!({"type": "number", "format": "double"}),
        Type::Int32 => json!({"type": "integer", "format": "int32"}),
        Type::Int64 => json!({"type": "integer", "format": "int64"}),
        Type::Uint32 => json!({"type": "integer", "format": "int64", "minimum": 0}),
        Type::Uint64 => json!({"type": "integer", "minimum": 0}),
        // Any JSON value.
        Type::Bytes => json!({}),
        Type::Message => match map_of(message, field) {
            Some(value) => return json!({"type": "object", "additionalProperties": field_schema(message, value)}),
            None => json!({"$ref": reference(field.type_name())}),
        },
        other => panic!("{}: say in the generator how {other:?} is written in JSON", field.name()),
    };
    if field.label() == Label::Repeated { json!({"type": "array", "items": one}) } else { one }
}

fn reference(kind: &str) -> String {
    format!("#/components/schemas/{}", kind.rsplit('.').next().unwrap())
}

/// What a map holds, when the field is one.
fn map_of<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a FieldDescriptorProto> {
    let entry = message.nested_type.iter().find(|entry| field.type_name().ends_with(&format!(".{}", entry.name())))?;
    entry.field.iter().find(|field| field.name() == "value")
}

fn is_map_of_texts(message: &DescriptorProto, field: &FieldDescriptorProto) -> bool {
    map_of(message, field).is_some_and(|value| value.r#type() == Type::String)
}

/// What is said above each thing in the file, by its path in the descriptor.
struct Comments(BTreeMap<Vec<i32>, String>);

impl Comments {
    fn of(file: &FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let said = locations.filter_map(|location| {
            let text = location.leading_comments().trim();
            (!text.is_empty()).then(|| (location.path.clone(), text.replace("\n ", " ")))
        });
        Self(said.collect())
    }

    fn at(&self, path: &[i32]) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }
}
