package bus

import (
	"errors"
	"fmt"
	"time"
)

// Why a read gave nothing. Callers branch on these and on [Exception].
var (
	// ErrTimeout: the device did not answer in time, retries included.
	ErrTimeout = errors.New("no answer in time")
	// ErrReply: something answered, and it was not the answer to the question.
	ErrReply = errors.New("unusable reply")
	// ErrLinkDown: the line itself cannot be opened or broke; no device on it can be read.
	ErrLinkDown = errors.New("line is down")
	// ErrBackoff: the device did not answer lately and is left alone for now;
	// nothing was sent.
	ErrBackoff = errors.New("device is in back-off")
	// ErrQueueFull: the caller has more requests waiting than a device may have.
	ErrQueueFull = errors.New("too many requests waiting")
	// ErrStopped: the bus does not run, or no longer.
	ErrStopped = errors.New("bus has stopped")
)

// Exception is a device's own refusal of a request (MODBUS Application
// Protocol 1.1b3, section 7). The device is alive.
type Exception struct {
	Function uint8 // of the request
	Code     uint8
}

// The exception codes that the bus or the poller acts on.
const (
	IllegalFunction    = 1
	IllegalAddress     = 2
	IllegalValue       = 3
	DeviceFailure      = 4
	Acknowledge        = 5
	Busy               = 6
	PathUnavailable    = 10
	TargetNotAnswering = 11
)

// Error names the refusal in words.
func (e Exception) Error() string {
	name := "not in the standard"
	switch e.Code {
	case IllegalFunction:
		name = "illegal function"
	case IllegalAddress:
		name = "illegal data address"
	case IllegalValue:
		name = "illegal data value"
	case DeviceFailure:
		name = "device failure"
	case Acknowledge:
		name = "acknowledged, still working"
	case Busy:
		name = "device busy"
	case PathUnavailable:
		name = "gateway path unavailable"
	case TargetNotAnswering:
		name = "target behind the gateway did not answer"
	}
	return fmt.Sprintf("function %d refused with exception %d (%s)", e.Function, e.Code, name)
}

// Illegal reports whether the device says that it has no such registers, or
// not in one read: a smaller block may succeed.
func (e Exception) Illegal() bool {
	return e.Code == IllegalFunction || e.Code == IllegalAddress || e.Code == IllegalValue || e.Code == DeviceFailure
}

// busy reports whether the device asks for patience.
func (e Exception) busy() bool { return e.Code == Acknowledge || e.Code == Busy }

// absent reports whether a gateway says that the device behind it is dead.
func (e Exception) absent() bool { return e.Code == PathUnavailable || e.Code == TargetNotAnswering }

// backoffError says until when a device or a line is left alone, and why.
type backoffError struct {
	kind  error // ErrBackoff or ErrLinkDown
	until time.Duration
	cause error
}

func (e *backoffError) Error() string {
	return fmt.Sprintf("%v, next try in %s: %v", e.kind, e.until.Round(time.Millisecond), e.cause)
}

// Cause returns why: it is told once, the countdown is no news.
func (e *backoffError) Cause() error { return e.cause }

func (e *backoffError) Is(target error) bool { return target == e.kind }
