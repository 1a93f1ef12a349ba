// Package servers installs and runs the real servers of the integration tests: Redis from
// Debian, a three-node Elasticsearch 8.19 whose distribution comes from Maven Central,
// and MiniStack (an emulator of AWS) from PyPI. Everything runs on loopback, without
// Docker; what was fetched stays in the user's cache folder.
//
// "go run ./test/with -- COMMAND" starts all of them around a command. Tests find
// them by the variables it sets, and stop or start single Elasticsearch nodes
// with OpenElasticsearch.
package servers
