// Package bus owns the lines that devices hang on: Modbus TCP, Modbus RTU on
// a serial port or through a TCP converter, and I2C. Each [Bus] is one
// goroutine that alone talks on its line, so two devices never talk at once;
// callers hold a [Device] and wait for their own reply.
//
// What a bus promises:
//
//   - A reply is checked before it is handed on: unit, function, byte count,
//     checksum or transaction number. A reply that came too late is never taken
//     for the answer to a later question.
//   - The time of a reading is the time its reply was complete.
//   - Waiting requests are served by bus time used so far, so equal devices take
//     turns and a slow one gets no more of a busy line than its neighbours.
//   - A device that does not answer is left alone for growing spells. Its probes
//     take at most a twentieth of the time and go when nobody else is waiting.
package bus
