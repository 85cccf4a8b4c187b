package bus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/grid-x/modbus"

	firmwareconfig "yunhe/firmware-config"
	"yunhe/internal/profile"
	"yunhe/internal/simulate/device"
	"yunhe/internal/simulate/modbusserver"
	"yunhe/internal/simulate/pty"
	"yunhe/internal/telemetry"
)

// numbered returns a device whose holding and input registers 0 to 299 hold
// base plus their own address.
func numbered(t *testing.T, base uint16) *device.Device {
	t.Helper()
	text, err := firmwareconfig.Profiles.ReadFile("profiles/eastron-sdm630.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse("eastron-sdm630.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	words := map[uint16]uint16{}
	for a := range uint16(300) {
		words[a] = base + a
	}
	d, err := device.New(device.Options{
		Name: "numbered", Profile: p, Now: time.Now, Grid: time.Hour,
		Source: func(time.Time) map[string]telemetry.Value { return nil },
		Fixed:  profile.Image{profile.Holding: words, profile.Input: words},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// onPTY serves units on a pseudo terminal and returns its address.
func onPTY(t *testing.T, units modbusserver.Units, echo bool) (Address, *pty.Pair) {
	t.Helper()
	pair, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	serve(t, (&modbusserver.RTU{Port: pair, Units: units, Echo: echo}).Run)
	t.Cleanup(func() { pair.Close() })
	return Address{Kind: ModbusRTU, Path: pair.Far, Baud: 19200, DataBits: 8, StopBits: 1, Parity: "none"}, pair
}

// onConverter serves units behind a TCP converter.
func onConverter(t *testing.T, units modbusserver.Units) Address {
	t.Helper()
	s, err := modbusserver.ListenRTUOverTCP("127.0.0.1:0", units)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s.Run)
	return Address{Kind: RTUOverTCP, Host: s.Addr()}
}

func serve(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

// TestRTU reads over both kinds of RTU line as they should be, then with every
// trouble a line gives.
func TestRTU(t *testing.T) {
	const timeout = 200 * time.Millisecond
	for name, open := range map[string]func(t *testing.T, u modbusserver.Units) Address{
		"serial":           func(t *testing.T, u modbusserver.Units) Address { a, _ := onPTY(t, u, false); return a },
		"serial with echo": func(t *testing.T, u modbusserver.Units) Address { a, _ := onPTY(t, u, true); return a },
		"converter":        onConverter,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := map[uint8]*device.Device{1: numbered(t, 1000), 2: numbered(t, 2000), 3: numbered(t, 3000)}
			b := runBus(t, Options{Address: open(t, sim)})
			link := profile.Link{Timeout: timeout}
			one, two := add(t, b, "one", 1, link), add(t, b, "two", 2, link)
			right := func(d *Device, base, address, count uint16) {
				t.Helper()
				raw, _, err := d.Read(t.Context(), profile.Input, address, count)
				if err != nil {
					t.Errorf("read %s %d: %v", d.Name(), address, err)
					return
				}
				for i := range count {
					if got := binary.BigEndian.Uint16(raw[2*i:]); got != base+address+i {
						t.Errorf("read %s %d: %d, want %d: an answer to another question", d.Name(), address+i, got, base+address+i)
					}
				}
			}
			for i := range uint16(4) {
				right(one, 1000, 40*i, 40)
				right(two, 2000, 40*i, 1)
			}
			right(one, 1000, 0, 125)
			if _, _, err := one.Read(t.Context(), profile.Holding, 290, 20); !isException(err, IllegalAddress) {
				t.Errorf("past the end: %v", err)
			}
			right(one, 1000, 7, 3)

			// The answer comes after the timeout, and the next question would
			// take any answer of that length.
			late := add(t, b, "late", 1, link)
			sim[1].Misbehave(device.Late(1, timeout+80*time.Millisecond))
			if _, _, err := late.Read(t.Context(), profile.Input, 100, 10); !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrReply) {
				t.Errorf("late answer: %v", err)
			}
			right(one, 1000, 200, 10)
			right(two, 2000, 100, 10)
			right(one, 1000, 100, 10)

			// Retries: lost twice, then there.
			sim[2].Misbehave(device.Late(1, timeout+80*time.Millisecond))
			patient := add(t, b, "patient", 2, profile.Link{Timeout: timeout, Retries: 2})
			right(patient, 2000, 11, 10)

			sim[3].Misbehave(device.Dead())
			dead := add(t, b, "dead", 3, link)
			if _, _, err := dead.Read(t.Context(), profile.Input, 0, 1); err == nil {
				t.Error("a dead device answers")
			}
			nobody := add(t, b, "nobody", 77, link)
			if _, _, err := nobody.Read(t.Context(), profile.Input, 0, 1); err == nil {
				t.Error("nobody answers")
			}
			right(one, 1000, 42, 8)
		})
	}
}

// TestRTUNoise: bytes that nobody asked for stand on the line before the
// question, and before the answer.
func TestRTUNoise(t *testing.T) {
	a, pair := onPTY(t, modbusserver.Units{1: numbered(t, 0)}, false)
	b := runBus(t, Options{Address: a})
	d := add(t, b, "d", 1, profile.Link{Timeout: 300 * time.Millisecond})
	if _, _, err := d.Read(t.Context(), profile.Input, 0, 2); err != nil {
		t.Fatal(err)
	}
	// A whole right answer with other values, as a repeating gateway sends it.
	if _, err := pair.Write(modbusserver.Seal([]byte{1, 4, 4, 9, 9, 9, 9})); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	raw, _, err := d.Read(t.Context(), profile.Input, 5, 2)
	if err != nil || !bytes.Equal(raw, []byte{0, 5, 0, 6}) {
		t.Errorf("% x, %v: took what was on the line before", raw, err)
	}
}

// TestRTUOverTCPInPieces: a converter hands on bytes as they come; the parts of
// an answer or a refusal still belong together, and none is left for the next.
func TestRTUOverTCPInPieces(t *testing.T) {
	host := script(t, 8, func(n int, request []byte, c net.Conn) {
		answer := modbusserver.Seal([]byte{request[0], 3, 2, request[2], request[3]})
		if n == 0 {
			answer = modbusserver.Seal([]byte{request[0], 0x83, 2})
		}
		for i := range answer {
			_, _ = c.Write(answer[i : i+1])
			time.Sleep(3 * time.Millisecond)
		}
	})
	b := runBus(t, Options{Address: Address{Kind: RTUOverTCP, Host: host}})
	d := add(t, b, "d", 1, profile.Link{Timeout: 2 * time.Second})
	if _, _, err := d.Read(t.Context(), profile.Holding, 0x0101, 1); !isException(err, IllegalAddress) {
		t.Errorf("refusal: %v", err)
	}
	raw, _, err := d.Read(t.Context(), profile.Holding, 0x0202, 1)
	if err != nil || !bytes.Equal(raw, []byte{2, 2}) {
		t.Errorf("answer: % x, %v", raw, err)
	}
	if s := b.Stats(); s.Connects != 1 {
		t.Errorf("%d connections", s.Connects)
	}
}

func TestFindReply(t *testing.T) {
	p := modbus.NewRTUClientHandler("")
	seal := modbusserver.Seal
	request := seal([]byte{7, 3, 0, 10, 0, 2})
	answer := seal([]byte{7, 3, 4, 1, 2, 3, 4})
	refusal := seal([]byte{7, 0x83, 2})
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	bent := bytes.Clone(answer)
	bent[4] ^= 1
	for name, c := range map[string]struct{ received, want []byte }{
		"answer":             {answer, answer},
		"refusal":            {refusal, refusal},
		"part":               {answer[:8], nil},
		"nothing":            {nil, nil},
		"after its echo":     {join(request, answer), answer},
		"refused after echo": {join(request, refusal), refusal},
		"after noise":        {join([]byte{0, 0xFF, 7}, answer), answer},
		"before noise":       {join(answer, []byte{0xFF}), answer},
		"echo only":          {request, nil},
		"wrong checksum":     {bent, nil},
		"another unit":       {seal([]byte{8, 3, 4, 1, 2, 3, 4}), nil},
		"another function":   {seal([]byte{7, 4, 4, 1, 2, 3, 4}), nil},
		"another length":     {seal([]byte{7, 3, 2, 1, 2}), nil},
		"another's refusal":  {seal([]byte{7, 0x84, 2}), nil},
	} {
		if got := findReply(p, request, c.received); !bytes.Equal(got, c.want) {
			t.Errorf("%s: % x, want % x", name, got, c.want)
		}
	}
	coils := seal([]byte{7, 1, 0, 0, 0, 9})
	if got := findReply(p, coils, seal([]byte{7, 1, 2, 0xFF, 1})); len(got) != 7 {
		t.Errorf("nine coils: % x", got)
	}
}

// FuzzFindReply: whatever is on the line, what is taken for the answer comes
// from the right unit, has the right function, length and checksum.
func FuzzFindReply(f *testing.F) {
	answer := modbusserver.Seal([]byte{7, 3, 4, 1, 2, 3, 4})
	f.Add(uint8(3), uint16(2), answer)
	f.Add(uint8(1), uint16(9), modbusserver.Seal([]byte{7, 1, 2, 0xFF, 1}))
	f.Add(uint8(3), uint16(2), modbusserver.Seal([]byte{7, 0x83, 2}))
	f.Fuzz(func(t *testing.T, function uint8, count uint16, received []byte) {
		function, count = function%4+1, count%125+1
		request := modbusserver.Seal([]byte{7, function, 0, 0, byte(count >> 8), byte(count)})
		got := findReply(modbus.NewRTUClientHandler(""), request, received)
		if got == nil {
			return
		}
		if !bytes.Contains(received, got) || got[0] != 7 || got[1]&0x7F != function ||
			modbusserver.CRC(got[:len(got)-2]) != binary.LittleEndian.Uint16(got[len(got)-2:]) {
			t.Errorf("% x taken for an answer to % x", got, request)
		}
		want := profile.Table(function).ByteCount(int(count))
		if got[1] == function && (int(got[2]) != want || len(got) != want+5) {
			t.Errorf("% x has not the length asked for, %d", got, want)
		}
	})
}

func TestSerialPortMissing(t *testing.T) {
	b := runBus(t, Options{Address: Address{Kind: ModbusRTU, Path: "/dev/yunhe-none", Baud: 9600, DataBits: 8, StopBits: 1, Parity: "even"}})
	_, _, err := add(t, b, "d", 1, profile.Link{}).Read(t.Context(), profile.Input, 0, 1)
	if !errors.Is(err, ErrLinkDown) || !bytes.Contains([]byte(err.Error()), []byte("/dev/yunhe-none")) {
		t.Errorf("got %v", err)
	}
}
