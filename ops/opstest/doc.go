// Package opstest helps to test what stands on ops: Bench runs the methods of steps, one
// call or a whole journey, over a claim kept in memory, RunStore is the suite every ops.Store passes,
// World is an operation on a pretended outside world that counts effects, and Drive
// carries an operation to its end with the real engine on miniredis.
package opstest
