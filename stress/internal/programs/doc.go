// Package programs is what the kits explore with: it makes programs of the
// operations of an interface and of the events at the seams that a kit owns, runs
// each under a controlled schedule in virtual time, and has the kit's model judge
// it.
//
// A kit declares a [Vocabulary]: its operations and events, each an [Op], and a
// [World], which is the subject with the seams around it and the model of what it
// must do. A program is a sequence of stages. The operations of a stage run beside
// each other, under a schedule of their own; then the world waits until nothing can
// go on, and judges. So a lost wake-up shows as somebody who waits though nothing
// else happens, and the order of what came in different stages is known.
//
// Which part of the vocabulary a program is made of is drawn too: swarm testing
// (Groce et al., ISSTA 2012), as programs of everything reach few states of each
// thing.
//
// Where the subject is in processes, which no schedule controls, the same programs are
// run in real time ([Vocabulary.Try]). They follow from the seed, what happens does not.
// So a world must judge what comes to pass, however long it takes, and no instant.
package programs
