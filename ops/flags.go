package ops

import "context"

// obey does what the waiting flag asks for, if there is one, and clears it with the
// same write. It also tells whether the claim still holds.
func (t *turn) obey(ctx context.Context) error {
	f, by, err := t.claim.Fence(ctx)
	if err != nil {
		return err
	}
	r := t.run
	switch {
	case f == FlagCancel && r.State == Undoing:
		return t.write(ctx, f) // on its way already
	case f == FlagCancel && r.State == Paused && r.Was == Undoing:
		return t.resume(ctx, by, f)
	case f == FlagCancel:
		return t.turnBack(ctx, Cancelled, "", by, f)
	case f == FlagPause && r.State == Paused, f == FlagResume && r.State != Paused:
		return t.write(ctx, f) // so already
	case f == FlagPause:
		return t.pause(ctx, "", by, f)
	case f == FlagResume:
		return t.resume(ctx, by, f)
	}
	return nil
}

// pause stops all calls until a flag comes. by is a person, or empty if Twokey itself
// asks for one, because of reason.
func (t *turn) pause(ctx context.Context, reason, by string, f Flag) error {
	r := t.run
	r.Was, r.State, r.By, r.Reason = r.State, Paused, by, reason
	if by != "" {
		t.say(WasPaused, "Paused by <@%s>.", by)
	} else {
		t.say(WasPaused, "Paused: %s.\nResume when it is put right, or cancel.", trim(reason))
	}
	return t.write(ctx, f)
}

func (t *turn) resume(ctx context.Context, by string, f Flag) error {
	r := t.run
	r.State, r.Was, r.By, r.Errors, r.LastError = r.Was, "", "", 0, ""
	r.Reason = ""
	if r.State == Undoing {
		r.By, r.Reason = r.OutcomeBy, r.OutcomeReason
		t.say(Continued, "Undo continued by <@%s>.", by)
	} else {
		t.say(Continued, "Resumed by <@%s>.", by)
	}
	return t.write(ctx, f)
}
