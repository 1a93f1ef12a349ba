package deploy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"golang.org/x/time/rate"

	"twokey/ops"
)

// What one process asks of one account, all its runs and questions together. AWS counts
// requests per account and region, and other people's consoles need some too.
const (
	callsPerSecond = 20
	callsAtOnce    = 40
	maxAttempts    = 6
	maxBackoff     = 3 * time.Second // a step's method has 10 s
)

// budget is the retryer that all clients of an account share: SDK's standard one with
// jittered exponential waits and a common quota of retries, and before it a limit on
// calls per second.
//
// A call that reads is tried again after any error that may pass. One that writes is
// tried again only if AWS said that it was throttled, and so not carried out: after a
// lost reply nobody knows, and what happened is found out by reading.
type budget struct {
	aws.RetryerV2
	calls *rate.Limiter
}

func newBudget() *budget {
	return &budget{
		RetryerV2: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = maxAttempts
			o.MaxBackoff = maxBackoff
		}),
		calls: rate.NewLimiter(callsPerSecond, callsAtOnce),
	}
}

// GetAttemptToken waits for the account's turn, before each attempt. Of a write it makes
// sure, last of all, that the run is still this process's.
func (b *budget) GetAttemptToken(ctx context.Context) (func(error) error, error) {
	if err := b.calls.Wait(ctx); err != nil {
		return nil, err
	}
	if !Reads(awsmiddleware.GetOperationName(ctx)) {
		if err := ops.Held(ctx); err != nil {
			return nil, err
		}
	}
	return b.RetryerV2.GetAttemptToken(ctx)
}

// GetRetryToken allows another attempt, or returns why not.
func (b *budget) GetRetryToken(ctx context.Context, err error) (func(error) error, error) {
	if op := awsmiddleware.GetOperationName(ctx); !Reads(op) && !throttled(err) {
		return nil, fmt.Errorf("%s is not repeated: it may have been carried out", op)
	}
	return b.RetryerV2.GetRetryToken(ctx, err)
}

// Reads reports whether an operation of AWS changes nothing that matters, by its name.
func Reads(operation string) bool {
	for _, prefix := range []string{"Describe", "List", "Get", "BatchGet", "Head", "Validate", "Estimate", "Detect", "AssumeRole"} {
		if strings.HasPrefix(operation, prefix) {
			return true
		}
	}
	return false
}

// throttled reports whether AWS refused a call for being one too many.
func throttled(err error) bool {
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}
