// Package strictyaml reads YAML files that people write by hand: one mapping, no unknown
// and no repeated keys, no anchors or tags, no value that YAML takes for something else
// than its reader. Every mistake is found at once, each with its line and column.
package strictyaml
