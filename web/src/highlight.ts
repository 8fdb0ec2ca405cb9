/** Colours for code, loaded when a message first has some: highlight.js, whose grammars give a tree and no HTML. */
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import csharp from "highlight.js/lib/languages/csharp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import dockerfile from "highlight.js/lib/languages/dockerfile";
import go from "highlight.js/lib/languages/go";
import ini from "highlight.js/lib/languages/ini";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import kotlin from "highlight.js/lib/languages/kotlin";
import lua from "highlight.js/lib/languages/lua";
import makefile from "highlight.js/lib/languages/makefile";
import markdown from "highlight.js/lib/languages/markdown";
import nginx from "highlight.js/lib/languages/nginx";
import php from "highlight.js/lib/languages/php";
import powershell from "highlight.js/lib/languages/powershell";
import python from "highlight.js/lib/languages/python";
import ruby from "highlight.js/lib/languages/ruby";
import rust from "highlight.js/lib/languages/rust";
import shell from "highlight.js/lib/languages/shell";
import sql from "highlight.js/lib/languages/sql";
import swift from "highlight.js/lib/languages/swift";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { createLowlight } from "lowlight";

const known = createLowlight({
  bash, c, cpp, csharp, css, diff, dockerfile, go, ini, java, javascript, json, kotlin, lua, makefile, markdown, nginx, php,
  powershell, python, ruby, rust, shell, sql, swift, typescript, xml, yaml,
});

/** Code, or a piece of it of one kind (a class of the style sheet). */
export type Piece = string | { kind: string; pieces: Piece[] };

type Node = { type: string; value?: string; properties?: { className?: unknown }; children?: readonly unknown[] };

/** The pieces of some code; null where we do not know the language. */
export function highlight(language: string, code: string): Piece[] | null {
  const name = language.toLowerCase().split(/[,{:]/)[0] ?? "";
  return known.registered(name) ? pieces(known.highlight(name, code).children) : null;
}

function pieces(nodes: readonly unknown[]): Piece[] {
  return (nodes as readonly Node[]).map((node) =>
    node.type === "text" ? (node.value ?? "") : { kind: [node.properties?.className].flat().join(" "), pieces: pieces(node.children ?? []) },
  );
}
