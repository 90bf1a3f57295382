// Package chart draws figures as HTML with inline SVG, without a library, a script or
// anything from a network.
//
// There are four kinds: [Plot] for lines over two axes, [Deviations] for how parts differ
// from their fair share, [Events] for what happened when, and [Strip] for a few values of a
// figure that was measured several times. Each makes a [Figure], which has the drawing, its
// legend, and the table of the values drawn, so that nothing is shown by a picture alone.
// People with colour vision deficiency can tell the colours apart (Okabe and Ito, "Color
// Universal Design", 2008), and no meaning depends on colour: lines also differ in their
// dashes, and marks in their shape.
//
// The drawings take their colours from CSS variables and classes of the page: see page.css
// in package report.
package chart
