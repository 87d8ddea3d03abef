// Package discovery looks for the devices of a site, tells them apart, and keeps book
// of them.
//
// What it finds are candidates: devices that were seen and are not polled, until
// somebody adopts them, or the site's policy does. Within the book a device stays the
// same wherever it moves to; what becomes of it is an event.
package discovery
