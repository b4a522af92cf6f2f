"use strict";
/*
 * What of a message does not fit the models of Adyen's library.
 *
 * The library's own decoder is generous: it drops what it does not know, and lets a string pass for
 * a number. Whoever relies on its types then finds nothing, or the wrong thing. Here the same
 * models are read strictly: names, types, choices, one or many from the attribute maps with which
 * the library decodes; what is required from its type declarations.
 */

const fs = require("node:fs");
const path = require("node:path");
const { Types } = require("@adyen/api-library");

const models = Types.terminal;
const PRIMITIVES = ["string", "number", "boolean"];

/** The required members of each class, of the library's `.d.ts` files: those without a `?`. */
function requiredMembers() {
  const folder = path.join(path.dirname(require.resolve("@adyen/api-library")), "typings/terminal");
  const found = {};
  for (const name of fs.readdirSync(folder).filter((each) => each.endsWith(".d.ts"))) {
    const declared = fs.readFileSync(path.join(folder, name), "utf8");
    const [, type, body] = declared.match(/^export declare class (\w+) \{\n(.*?)^ {4}static/ms) ?? [];
    if (type) {
      found[type] = [...body.matchAll(/^ {4}'(\w+)': /gm)].map(([, member]) => member);
    }
  }
  return found;
}

const required = requiredMembers();

/** Everything in `value` that does not fit the model `type`, each as "path: what". */
function faultsOf(value, type, at = "") {
  const many = type.match(/^Array<(.*)>$/);
  if (many) {
    return Array.isArray(value)
      ? value.flatMap((each, index) => faultsOf(each, many[1], `${at}[${index}]`))
      : [`${at}: not an array`];
  }
  if (PRIMITIVES.includes(type)) {
    return typeof value === type ? [] : [`${at}: not a ${type}`];
  }
  const model = type.split(".").reduce((found, name) => found?.[name], models);
  if (typeof model === "function") {
    return faultsOfObject(value, type, model, at);
  }
  if (model) {
    return Object.values(model).includes(value) ? [] : [`${at}: not one of its choices: ${value}`];
  }
  return []; // of any type
}

function faultsOfObject(value, type, model, at) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    return [`${at}: not an object`];
  }
  const types = new Map(model.getAttributeTypeMap().map((each) => [each.baseName, each.type]));
  const missing = required[type].filter((name) => !(name in value));
  const place = (name) => (at ? `${at}.${name}` : name);
  return [
    ...missing.map((name) => `${place(name)}: missing`),
    ...Object.entries(value).flatMap(([name, member]) =>
      types.has(name)
        ? faultsOf(member, types.get(name), place(name))
        : [`${place(name)}: unknown`],
    ),
  ];
}

module.exports = { faultsOf };
